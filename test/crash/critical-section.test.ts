/** A mutex whose holder's node is killed is held on by whoever takes the execution over: never by two, and never for ever. */
import t from 'tap'
import { step } from './scenario.ts'
import { holderDies } from './slot-holder.ts'

t.jobs = 2
t.setTimeout(300_000)

const section = { id: 's', type: 'critical_section', config: { mutex: 'ledger', steps: [step('in'), step('out')] } }
const definition = { name: 'books', steps: [section], output: '{{ steps.s.output }}' }

holderDies(t, { definition, path: 's', output: 's.out' }, [
  'before flush step.queued',
  'during flush step.queued',
  'after flush step.queued',
  'during flush slot.granted',
  'before perform s.in',
  'after perform s.out',
  'during flush execution.completed',
])
