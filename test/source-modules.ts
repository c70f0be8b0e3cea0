import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import { type Node, parse } from 'acorn'

export interface Import {
  /** A path below the folder for an own module, otherwise the package or `node:` name. */
  readonly target: string
  readonly isLocal: boolean
  readonly isType: boolean
}

export interface SourceModule {
  /** Path below the folder, with slashes. */
  readonly file: string
  readonly source: string
  readonly imports: readonly Import[]
}

/** Every TypeScript file below a folder with what it imports; installed packages are left out. */
export function modulesIn(folder: string): SourceModule[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll(path.sep, '/'))
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules/'))
    .sort()
    .map((file) => moduleOf(file, readFileSync(path.join(folder, file), 'utf8')))
}

export function moduleOf(file: string, source: string): SourceModule {
  return { file, source, imports: importsOf(file, source) }
}

const statement = /^\s*(?:import|export)\s(?:(type)\s)?(?:[\w*{][^'"`;=]*?\sfrom\s)?'([^']+)'|\bimport\('([^']+)'\)/gm

function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(statement)].map(([text, type, from, dynamic]) => {
    const name = (from ?? dynamic)!
    const isLocal = name.startsWith('.')
    const target = isLocal ? path.posix.join(path.posix.dirname(file), name) : name
    return { target, isLocal, isType: type !== undefined || hasOnlyTypes(text) }
  })
}

/** `import { type A, type B } from …` needs the module at compile time only. */
function hasOnlyTypes(text: string): boolean {
  const names = /^\s*(?:import|export)\s*\{([^}]*)\}/.exec(text)?.[1]
  return names?.split(',').every((name) => /^\s*(type\s|$)/.test(name)) ?? false
}

const impureNames = new Set(
  ['process', 'performance', 'crypto', 'globalThis', 'global', 'require', 'fetch', 'setTimeout', 'setInterval'].concat([
    'setImmediate',
    'queueMicrotask',
    'Promise',
    'console',
    'Buffer',
    'Temporal',
    'structuredClone',
  ]),
)
const impureMembers = new Set(['Date.now', 'Math.random', 'import.meta'])

/** What the pure floors may import: these give the same result for the same arguments too. */
const pureLibraries = new Set(['acorn', 'ajv', 'ajv-formats', 'typebox'])

/** What keeps a module from giving the same result for the same arguments, whenever and wherever it runs. */
export function purityFaults({ file, source, imports }: SourceModule): string[] {
  const faults = imports
    .filter(({ target, isLocal, isType }) => !isLocal && !isType && !pureLibraries.has(target.split('/')[0]!))
    .map(({ target }) => `${file} imports ${target}`)
  const program = parse(stripTypeScriptTypes(source), { ecmaVersion: 'latest', sourceType: 'module', locations: true })
  walk(program as unknown as AnyNode, (node) => {
    const what = impurity(node)
    if (what !== undefined) faults.push(`${file}:${node.loc!.start.line} uses ${what}`)
  })
  return faults
}

type AnyNode = Node & { readonly [key: string]: unknown }

function impurity(node: AnyNode): string | undefined {
  if (node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await)) return 'await'
  if (node.async === true) return 'an async function'
  if (node.type === 'NewExpression' && nameOf(node.callee) === 'Date' && isEmpty(node.arguments)) return 'new Date()'
  if (node.type === 'CallExpression' && nameOf(node.callee) === 'Date') return 'Date()'
  if (node.type === 'MemberExpression' && !node.computed) {
    const member = `${nameOf(node.object)}.${nameOf(node.property)}`
    if (impureMembers.has(member)) return member
  }
  // Only a name in a place where its value is read: `process` as a key, a member or a parameter is innocent.
  const read = [node.callee, node.object, node.argument, node.init, node.right, node.left, node.body]
  return read
    .concat(node.arguments as unknown[])
    .map(nameOf)
    .find((name) => impureNames.has(name))
}

const nameOf = (node: unknown): string =>
  (node as AnyNode | undefined)?.type === 'Identifier' ? String((node as AnyNode).name) : ''
const isEmpty = (list: unknown): boolean => Array.isArray(list) && list.length === 0

function walk(node: AnyNode, visit: (node: AnyNode) => void): void {
  visit(node)
  for (const value of Object.values(node).flat()) {
    if (typeof value === 'object' && value !== null && typeof (value as AnyNode).type === 'string')
      walk(value as AnyNode, visit)
  }
}
