import { styleText } from 'node:util'

const cells = 28

/**
 * A progress bar with lines above it. On a terminal the bar is redrawn in place; elsewhere each line stands for itself, with
 * the bar in front.
 */
export class ProgressBar {
  readonly #out: NodeJS.WriteStream
  #isDrawn = false

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out
  }

  /** What is under way now. Only a terminal shows it. */
  show(percentage: number, label: string): void {
    if (!this.#out.isTTY) return
    const room = Math.max(0, (this.#out.columns || 80) - cells - 12)
    this.#out.write(`\r\x1b[K  ${barOf(percentage)} ${styleText('dim', label.slice(0, room))}`)
    this.#isDrawn = true
  }

  /** A fact that stays. */
  note(percentage: number, text: string): void {
    if (this.#out.isTTY) this.#out.write(`\r\x1b[K  ${text}\n`)
    else this.#out.write(`  ${barOf(percentage)} ${text}\n`)
    this.#isDrawn = false
  }

  /** Leaves the bar as it is and goes to the next line. */
  end(): void {
    if (this.#isDrawn) this.#out.write('\n')
    this.#isDrawn = false
  }
}

function barOf(percentage: number): string {
  const full = Math.round((percentage / 100) * cells)
  const bar = styleText('green', '█'.repeat(full)) + styleText('dim', '░'.repeat(cells - full))
  return `${bar} ${String(percentage).padStart(3)} %`
}
