import { styleText } from 'node:util'

export function heading(text: string): void {
  console.log(`\n${styleText(['bold', 'cyan'], text)}`)
}

export function say(text: string): void {
  console.log(`  ${text}`)
}

/** A line of a name and what it stands for. */
export function fact(name: string, value: string): void {
  say(`${name.padEnd(12)} ${value}`)
}

/** Rows in columns, the first row above a line. */
export function table(rows: readonly (readonly unknown[])[]): void {
  const texts = rows.map((row) => row.map(String))
  const widths = (texts[0] ?? []).map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)))
  for (const [index, row] of texts.entries()) {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
    say(index === 0 ? styleText('dim', line) : line)
  }
}
