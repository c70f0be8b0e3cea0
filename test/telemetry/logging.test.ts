import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import pino from 'pino'
import t, { type Test } from 'tap'
import { Secrets } from '../../src/engine/secrets.ts'
import { type LogOptions, logOptions } from '../../src/telemetry/logging.ts'

/** A logger of these options, and the lines that it wrote. */
function capture(options: Partial<LogOptions> = {}) {
  const lines: Record<string, unknown>[] = []
  const log = pino(logOptions({ level: 'debug', ...options }), {
    write: (line: string) => lines.push(JSON.parse(line)),
  })
  return { log, lines }
}

const secrets = new Secrets({ API_KEY: 'hunter2-hunter2' })
const redact = secrets.redact.bind(secrets) as NonNullable<LogOptions['redact']>

t.test('a line has an ISO time, a level in words and the ids that it was given', async (t) => {
  const { log, lines } = capture()
  log.child({ executionId: 'e' }).info({ path: 'fan.b', attempt: 2 }, 'step completed')
  t.match(lines[0], { level: 'info', executionId: 'e', path: 'fan.b', attempt: 2, msg: 'step completed' })
  t.match(lines[0]?.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

t.test('lines below the level are not written', async (t) => {
  const { log, lines } = capture({ level: 'warn' })
  log.info('x')
  t.strictSame(lines, [])
})

t.test('secrets are cut out of facts, bindings, messages and errors', async (t) => {
  const { log, lines } = capture({ redact })
  const cause = new Error('401 for Bearer hunter2-hunter2')
  log.child({ url: 'https://x/?key=hunter2-hunter2' }).warn(
    {
      headers: { 'x-key': 'hunter2-hunter2' },
      list: ['hunter2-hunter2'],
      err: new Error('hunter2-hunter2 refused', { cause }),
    },
    'tried hunter2-hunter2',
  )
  log.error(new Error('bare hunter2-hunter2'))
  t.equal(lines.length, 2)
  t.notMatch(JSON.stringify(lines), /hunter2/)
  t.match(lines[0], { headers: {}, list: [String], err: { type: 'Error', cause: { type: 'Error' } } })
})

t.test('an error keeps its type, message, code, stack and causes, and nothing that it carries besides', async (t) => {
  const { log, lines } = capture()
  const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', address: '10.0.0.1' })
  const error = Object.assign(new TypeError('query failed', { cause }), { code: '23505', parameters: ['4111 1111'] })
  log.error({ err: error }, 'failed')
  t.match(lines[0]?.err, { type: 'TypeError', code: '23505', stack: String, cause: { code: 'ECONNREFUSED' } })
  t.notMatch(JSON.stringify(lines), /4111|10\.0\.0\.1/)
})

t.test('an endless chain of causes ends', async (t) => {
  const { log, lines } = capture()
  const error = new Error('round')
  error.cause = error
  log.error({ err: error }, 'failed')
  t.equal(lines.length, 1)
})

t.test('what was thrown and is no error is written as text', async (t) => {
  const { log, lines } = capture({ redact })
  log.error({ err: 'hunter2-hunter2' }, 'failed')
  t.match(lines[0]?.err, { type: 'string' })
  t.notMatch(JSON.stringify(lines), /hunter2/)
})

function startProgram(t: Test) {
  const program = path.join(import.meta.dirname, 'logging-program.ts')
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

t.test('the end of the process waits for the lines of its last turn', async (t) => {
  const child = startProgram(t)
  child.stdin.end()
  const [lines, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  t.strictSame(
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg)
      .toSorted(),
    ['one', 'three', 'two'],
  )
  t.equal(code, 3)
})

t.test('a process whose lines nobody is left to read ends all the same', async (t) => {
  const child = startProgram(t)
  child.stdout.destroy()
  await once(child.stdout, 'close')
  child.stdin.end()
  const [code] = await once(child, 'exit')
  t.equal(code, 3)
})
