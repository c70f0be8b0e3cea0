/** What a flush has beside the rest: its clause takes `parameters` from the one numbered `first` on, behind `complete`. */
export interface FlushPart {
  readonly name: string
  readonly parameters: readonly string[]
  readonly clause: (first: number) => string
}
