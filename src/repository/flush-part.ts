/** A clause of a flush's statement: it takes `parameters` from the one numbered `first` on. */
export interface FlushPart {
  /** Names its CTE; parts of one name have one clause, whatever their parameters. */
  readonly name: string
  readonly parameters: readonly (string | number | null)[]
  readonly clause: (first: number) => string
}
