import type { Json } from '../json.ts'
import { compileTemplateInto, type Template, type TemplateFindings } from '../template.ts'
import type { Compilation, Draft, Reference } from './draft.ts'

/** Compiles a template of a step; what is bad in it are faults, and the steps that it reads are the step's references. */
export function templateAt(
  value: Json,
  pointer: string,
  draft: Draft,
  all: Compilation,
  when: Pick<Reference, 'isLate'> = {},
): Template {
  const findings: TemplateFindings = { faults: [], references: [], usesSecrets: false }
  const template = compileTemplateInto(findings, value, { names: all.names, locals: draft.locals })
  for (const fault of findings.faults) all.faults.push({ ...fault, pointer: pointer + fault.pointer })
  for (const { stepId, pointer: place } of findings.references)
    draft.references.push({ stepId, pointer: pointer + place, ...when })
  return template
}
