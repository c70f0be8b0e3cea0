/*
 * What stands between a lane's flushes and a database that no longer is this node's: see DESIGN.md section 6.
 */

/** The last row of a lane's previous acknowledged flush: while it is there, the database has lost nothing of ours. */
export interface Acknowledged {
  readonly executionId: string
  readonly seq: number
  /** After lost commits another node may have given the seq to another event. */
  readonly at: number
}

/** What a lane's fence demands: the lane's row with its mark, and the event that was acknowledged since the mark was set. */
export interface Fence {
  readonly node: string
  readonly lane: number
  readonly acknowledged: Acknowledged | null
  readonly mark: number
  /** The mark was to be raised by one, and no answer has told whether it was. */
  readonly isMarkUnsure: boolean
}

/** `FROM node_lanes WHERE …` for the fence whose parameters are the first seven of a statement. */
export const fenceCondition = `node_id = $1::uuid AND lane = $2::integer AND mark BETWEEN $6::bigint AND $7::bigint
    AND ($3::uuid IS NULL OR EXISTS (
      SELECT FROM execution_events WHERE execution_id = $3::uuid AND seq = $4::bigint AND at = $5::bigint
    ))`

/** The parameters of `fenceCondition`. */
export const fenceParameters = ({ node, lane, acknowledged, mark, isMarkUnsure }: Fence): unknown[] => [
  ...[node, lane, acknowledged?.executionId ?? null, acknowledged?.seq ?? null, acknowledged?.at ?? null],
  ...[mark, isMarkUnsure ? mark + 1 : mark],
]
