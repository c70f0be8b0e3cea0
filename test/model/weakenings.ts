/*
 * What the protocol would be without one of its parts. Each must lead to a broken promise: that shows that the model can see
 * it, and what the part is for.
 */
export interface Weakenings {
  /** Flushes do not look for their lane's row. */
  readonly noFence?: boolean
  /** The fence does not look for the last acknowledged row. */
  readonly noProof?: boolean
  /** The fence takes any row of that seq for the last acknowledged one. */
  readonly proofBySeq?: boolean
  /** The first append after a claim does not prove that the claim still stands. */
  readonly claimUnproved?: boolean
  /** It proves the owner only, not that the history is the one that was read. */
  readonly claimByOwner?: boolean
  /** A flush without an answer: the journal is read, and what is not there counts as not written. */
  readonly decideByReading?: boolean
  /** Effects do not wait for the commit of their cause. */
  readonly performBeforeCommit?: boolean
  /** A node performs without looking at its lease. */
  readonly performPastLease?: boolean
  /** The lease counts from the heartbeat's answer. */
  readonly leaseFromAnswer?: boolean
  /** A heartbeat brings a row back that was swept away. */
  readonly revive?: boolean
  /** The inbox row is deleted by a statement of its own, once the event is committed. */
  readonly inboxApart?: boolean
  /** A read of the inbox that was sent before the execution came here counts. */
  readonly staleMail?: boolean
  /** Sweeping does not wait for a flush that runs. */
  readonly sweepInTheMiddle?: boolean
  /** Claims do not lock their node's row. */
  readonly claimUnlocked?: boolean
  /** A resend whose events are there changes the rest all the same. */
  readonly resendChanges?: boolean
  /** After a claim without an answer the table is read once, and that counts. */
  readonly claimReadOnce?: boolean
  /** An execution is read while the commit that gives it away is on its way. */
  readonly loadWhileLeaving?: boolean
  /** A recovered mark of an at_most_once step is performed. */
  readonly performMarked?: boolean
}
