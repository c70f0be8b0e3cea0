import { CairnError, type Fault } from '../errors.ts'
import type { ExecutionKey } from '../repository/execution-keys.ts'
import type { StartRequest } from './starts.ts'

/** The executionKey of a start with its policies, null without one. REQUEST_INVALID for policies that mean nothing. */
export function executionKeyOf({ executionKey, reusePolicy, conflictPolicy }: StartRequest): ExecutionKey | null {
  const faults: Fault[] = []
  if (executionKey === undefined) {
    const needsKey = 'says what happens to an executionKey: give one, or leave it out'
    if (reusePolicy !== undefined) faults.push({ pointer: '/reusePolicy', message: needsKey })
    if (conflictPolicy !== undefined) faults.push({ pointer: '/conflictPolicy', message: needsKey })
  } else if (reusePolicy === 'reject' && conflictPolicy === 'cancel_existing') {
    const message = 'cannot be cancel_existing with reusePolicy reject, which forbids to follow the cancelled execution'
    faults.push({ pointer: '/conflictPolicy', message })
  }
  if (faults.length > 0) throw new CairnError('REQUEST_INVALID', [], { faults })
  if (executionKey === undefined) return null
  return { key: executionKey, reuse: reusePolicy ?? 'allow', conflict: conflictPolicy ?? 'fail' }
}
