import { readFileSync } from 'node:fs'
import path from 'node:path'
import { CairnClient } from '../client/client.ts'
import { startAgentStub } from './agent-stub.ts'
import { irises, startDataService } from './data-service.ts'
import type { Loopback } from './loopback.ts'
import { fact, heading, say } from './narration.ts'
import { dataDir, startOwnService } from './own-service.ts'
import { prepare } from './preparation.ts'

/** What the acts are played on. */
export interface Stage {
  readonly client: CairnClient
  readonly dataUrl: string
  /** The agent is the loopback stub, whose answers are known. */
  readonly isStub: boolean
}

interface Config {
  readonly agents: { readonly 'data-processor': { readonly baseUrl: string } }
  readonly http: { readonly allowedHosts: readonly [string] }
}

const usualConfig = path.join(import.meta.dirname, 'config.json')
const usualUrl = 'http://127.0.0.1:3000'

/** Starts the data service, the agent's stub where it is needed, and a service unless one is there that can run the demo. */
export async function openStage(
  resources: AsyncDisposableStack,
  { own = false, config: configFile = usualConfig }: { own?: boolean; config?: string },
): Promise<Stage> {
  heading('Cairn')
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as Config
  const given = own ? undefined : process.env.CAIRN_URL?.replace(/\/+$/, '') || undefined
  const { OPENAI_BASE_URL: agentUrl, OPENAI_MODEL: model } = process.env
  if (agentUrl && !model) throw new Error('OPENAI_BASE_URL is set; set OPENAI_MODEL too')
  // A running service knows them by the ports of its configuration; one of our own can be told others.
  const anyPort = given === undefined
  const data = resources.use(await startDataService(portOf(`http://${config.http.allowedHosts[0]}`), anyPort))
  const { baseUrl } = config.agents['data-processor']
  const stub = agentUrl ? null : resources.use(await startAgentStub(portOf(baseUrl), anyPort))
  const dataUrl = `http://${data.host}/data`

  const running = own ? null : await findRunning(given, dataUrl)
  const client = running ?? (await startOwn(resources, configOf(config, data, stub), dataUrl))
  fact('Data', `${dataUrl}: ${irises.length} irises, measured by Edgar Anderson in 1935`)
  fact('Agent', stub ? `a stub that speaks OpenAI's protocol at http://${stub.host}/v1` : `${model} at ${agentUrl}`)
  return { client, dataUrl, isStub: stub !== null }
}

/** The service at `given` or the usual address; null when there is none at the latter that can run the demo. */
async function findRunning(given: string | undefined, dataUrl: string): Promise<CairnClient | null> {
  const url = given ?? usualUrl
  // One that was named is waited for even on a busy machine.
  if (!(await isReady(url, given === undefined ? 2_000 : 15_000))) {
    if (given === undefined) return null
    throw new Error(`No Cairn is ready at CAIRN_URL (${url})`)
  }
  const client = new CairnClient(url)
  const lacks = await prepare(client, dataUrl)
  if (lacks.length === 0) {
    fact('Service', `${url}, which was running; docs at ${url}/docs`)
    return client
  }
  const message = [
    `The service at ${url} is not configured for the demo:`,
    ...lacks.map((lack) => `- ${lack}`),
    'Start it with CAIRN_CONFIG=examples/demo/config.json; examples/README.md says how.',
  ]
  if (given !== undefined) throw new Error(message.join('\n  '))
  for (const line of [...message, 'Until then the demo starts a service of its own.']) say(line)
  return null
}

async function startOwn(resources: AsyncDisposableStack, config: object, dataUrl: string): Promise<CairnClient> {
  const url = await startOwnService(resources, config)
  const client = new CairnClient(url)
  const lacks = await prepare(client, dataUrl)
  if (lacks.length > 0) throw new Error(lacks.join('\n'))
  const database = process.env.DATABASE_URL ? 'on DATABASE_URL' : `with a PostgreSQL of its own in ${dataDir()}`
  fact('Service', `${url}, started for the demo, ${database}`)
  return client
}

/** The configuration with the addresses that there are. */
function configOf(config: Config, data: Loopback, stub: Loopback | null): object {
  const { OPENAI_BASE_URL: baseUrl, OPENAI_MODEL: model, OPENAI_API_KEY: apiKey } = process.env
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the service fills it in, so the key is in no file.
  const real = { baseUrl, model, apiKey: apiKey ? '${OPENAI_API_KEY}' : undefined }
  const agent = { ...config.agents['data-processor'], ...(stub ? { baseUrl: `http://${stub.host}/v1` } : real) }
  return { ...config, agents: { 'data-processor': agent }, http: { allowedHosts: [data.host] } }
}

/** Ready, and a Cairn. */
async function isReady(url: string, patienceMs: number): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(patienceMs) })
    const { reasons } = (await response.json()) as { reasons?: unknown }
    return response.ok && Array.isArray(reasons)
  } catch {
    return false
  }
}

const portOf = (url: string): number => Number(new URL(url).port)
