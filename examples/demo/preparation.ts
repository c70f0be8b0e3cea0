import type { CairnClient, Definition, Execution } from '../client/client.ts'
import { makeTable } from './definitions.ts'

type Subject = 'data' | 'table' | 'agent'

/** Each of its steps finds out one thing about the service's configuration. */
const preparation = (dataUrl: string): Definition => ({
  name: 'Demo Preparation',
  description: 'Can this service run the demo?',
  steps: [
    {
      id: 'reach-data',
      name: 'Reach the data service',
      type: 'action',
      when: "input.subject == 'data'",
      config: { type: 'http_request', url: dataUrl },
    },
    {
      id: 'make-table',
      name: 'Make the table',
      type: 'action',
      when: "input.subject == 'table'",
      config: { type: 'database_query', dataSource: 'main', query: makeTable },
    },
    {
      id: 'know-agent',
      name: 'Know the agent',
      type: 'action',
      when: "input.subject == 'agent'",
      config: { type: 'ai_agent_call', agent: 'data-processor', prompt: '' },
    },
  ],
})

const waitMs = 15_000

/** Makes the demo's table through the service; answers with what the service's configuration lacks. */
export async function prepare(client: CairnClient, dataUrl: string): Promise<string[]> {
  const { id } = await client.publish(preparation(dataUrl))
  const subjects: Subject[] = ['data', 'table', 'agent']
  const answers = await Promise.all(
    subjects.map(async (subject) => lackOf(subject, await client.start(id, { input: { subject }, waitMs }))),
  )
  const lacks = answers.filter((lack) => lack !== null)
  if (lacks.length > 0) await client.archive(id)
  return lacks
}

function lackOf(subject: Subject, { status, error }: Execution): string | null {
  if (status === 'completed') return null
  if (error === null) return `it is ${status} after ${waitMs} ms`
  const faults = error.details?.faults as { pointer: string }[] | undefined
  // An agent that it does not know is refused at /agent, before it sees that there is nothing to ask.
  if (subject === 'agent' && faults?.[0]?.pointer === '/prompt') return null
  return error.message
}
