import t from 'tap'
import { approvalCases } from './conformance/approval-cases.ts'
import { circuitCases } from './conformance/circuit-cases.ts'
import { claimCases } from './conformance/claim-cases.ts'
import { executionKeyCases } from './conformance/execution-key-cases.ts'
import { flushCases } from './conformance/flush-cases.ts'
import { nodeCases } from './conformance/node-cases.ts'
import { rateLimitCases } from './conformance/rate-limit-cases.ts'
import { readCases } from './conformance/read-cases.ts'
import { requestCases } from './conformance/request-cases.ts'
import { sendCases } from './conformance/send-cases.ts'
import { openModel, openPostgres } from './conformance/sides.ts'
import { slotCases } from './conformance/slot-cases.ts'
import { upkeepCases } from './conformance/upkeep-cases.ts'

// The simulation proves something about the engine only as far as its model of PostgreSQL answers as PostgreSQL does.

const cases = {
  ...{ ...flushCases, ...claimCases, ...nodeCases, ...requestCases, ...readCases, ...sendCases },
  ...{ ...circuitCases, ...executionKeyCases, ...approvalCases, ...slotCases, ...rateLimitCases, ...upkeepCases },
}

// Every case has a database of its own.
t.setTimeout(240_000)

for (const [name, open] of [['PostgreSQL', openPostgres] as const, ['the model', openModel] as const]) {
  t.test(name, async (t) => {
    for (const [rule, check] of Object.entries(cases)) {
      await t.test(rule, async (t) => check(t, await open(t)))
    }
  })
}
