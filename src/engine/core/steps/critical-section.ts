/*
 * (its mutex is the slot that it needs before it begins) ──▶ its steps, as a sequence ──▶ completed | failed
 */
export { after, begin, childEnded, output, restart } from './sequential.ts'
