/** @file What the keys of a run mean together: rules that no single key can break. */
import type { z } from 'zod'
import type { Problem } from '../../formats/index.ts'
import { EXCLUSIVE, runSchema } from './schema.ts'

type Shape = typeof runSchema.shape
/** The sections as far as they are valid by themselves, with defaults. */
type Sections = { [K in keyof Shape]?: z.output<Shape[K]> }

/** A checkpoint's own shape stands fast; these keys leave it as it is. */
const SHAPELESS = new Set(['max_position_embeddings', 'rope_theta', 'rope_scaling'])

/** Every problem between keys. Values that are themselves invalid are left out of the rules. */
export function crossProblems(value: unknown): Problem[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  const raw = value as Record<string, unknown>
  const sections: Record<string, unknown> = {}
  for (const [key, schema] of Object.entries(runSchema.shape)) {
    const parsed = validPart(schema, raw[key])
    if (parsed !== undefined) sections[key] = parsed
  }
  return [
    ...exclusiveProblems(raw),
    ...modelProblems(raw, sections as Sections),
    ...dataProblems(sections as Sections),
    ...lengthProblems(sections as Sections),
    ...keepProblems(sections as Sections),
  ]
}

/** The section without its invalid keys, with defaults, or undefined when nothing of it can be used. */
function validPart(schema: z.ZodType, value: unknown): unknown {
  const first = schema.safeParse(value)
  if (first.success) return first.data
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const invalid = first.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' && issue.path.length === 0 ? issue.keys : issue.path.slice(0, 1),
  )
  const rest = Object.entries(value).filter(([key]) => !invalid.includes(key))
  return schema.safeParse(Object.fromEntries(rest)).data
}

function exclusiveProblems(raw: Record<string, unknown>): Problem[] {
  return Object.entries(EXCLUSIVE).flatMap(([name, keys]): Problem[] => {
    const section = raw[name]
    if (typeof section !== 'object' || section === null || Array.isArray(section)) return []
    const given = keys.filter((key) => Object.hasOwn(section, key))
    if (given.length === 1) return []
    const list = keys.join(', ')
    if (given.length === 0) {
      return [{ code: 'RUN_MISSING', path: [name], message: `${name} needs one of ${list}`, atKey: true }]
    }
    const message = `${name} takes one of ${list}, got ${given.join(' and ')}`
    return [
      { code: 'RUN_EXCLUSIVE', path: [name, given[1]!], message, hint: 'keep one of them', atKey: true },
    ]
  })
}

function modelProblems(raw: Record<string, unknown>, { model, data }: Sections): Problem[] {
  const problems: Problem[] = []
  if (raw.tokenizer === undefined && model !== undefined && model.from === undefined) {
    const hint = 'add "tokenizer: { train: {} }" or "tokenizer: { file: path/to/tokenizer.json }"'
    problems.push({ code: 'RUN_MISSING', path: [], message: 'tokenizer is missing', hint })
  }
  if (model?.from !== undefined) {
    for (const key of Object.keys(model.overrides ?? {})) {
      if (SHAPELESS.has(key)) continue
      problems.push({
        code: 'RUN_CONFLICT',
        path: ['model', 'overrides', key],
        message: `model.overrides.${key} cannot change the weights of model.from`,
        hint: `of a checkpoint only ${[...SHAPELESS].join(', ')} can change`,
        atKey: true,
      })
    }
  }
  const positions = model?.overrides?.max_position_embeddings
  if (positions !== undefined && data !== undefined && data.sequenceLength > positions) {
    problems.push({
      code: 'RUN_CONFLICT',
      path: ['data', 'sequenceLength'],
      message: `data.sequenceLength ${data.sequenceLength} exceeds model.overrides.max_position_embeddings ${positions}`,
    })
  }
  return problems
}

function dataProblems({ data }: Sections): Problem[] {
  if (data === undefined || (typeof data.heldout === 'object' && !Array.isArray(data.heldout))) return []
  const trained = new Set([data.train].flat())
  const both = [data.heldout].flat().filter((path) => trained.has(path))
  return both.map((path) => ({
    code: 'RUN_CONFLICT',
    path: ['data', 'heldout'],
    message: `data.heldout ${JSON.stringify(path)} is also in data.train`,
    hint: 'hold out other files, or write "heldout: { fraction: 0.01 }"',
  }))
}

function lengthProblems({ train, data, schedule }: Sections): Problem[] {
  const problems: Problem[] = []
  if (train?.microBatchSize !== undefined && train.batchSize % train.microBatchSize !== 0) {
    problems.push({
      code: 'RUN_CONFLICT',
      path: ['train', 'microBatchSize'],
      message: `train.microBatchSize ${train.microBatchSize} does not divide train.batchSize ${train.batchSize}`,
      hint: `divisors are ${divisors(train.batchSize).join(', ')}`,
    })
  }
  const perStep =
    train === undefined || data === undefined ? undefined : train.batchSize * data.sequenceLength
  if (train?.tokens !== undefined && perStep !== undefined && train.tokens < perStep) {
    problems.push({
      code: 'RUN_CONFLICT',
      path: ['train', 'tokens'],
      message: `train.tokens ${train.tokens} is less than the ${perStep} tokens of one step`,
      hint: 'train.batchSize x data.sequenceLength tokens make a step',
    })
  }
  if (schedule === undefined) return problems

  for (const key of ['warmupSteps', 'decaySteps'] as const) {
    const value = schedule[key]
    if (value !== undefined && value >= 1 && !Number.isInteger(value)) {
      const message = `schedule.${key} must be a whole number of steps or a share below 1, got ${value}`
      problems.push({ code: 'RUN_RANGE', path: ['schedule', key], message })
    }
  }
  if (schedule.decaySteps !== undefined && schedule.kind !== 'wsd') {
    problems.push({
      code: 'RUN_CONFLICT',
      path: ['schedule', 'decaySteps'],
      message: `schedule.decaySteps has no meaning with schedule.kind ${schedule.kind}`,
      hint: 'remove it or write "kind: wsd"',
      atKey: true,
    })
  }
  const steps =
    train?.steps ?? (train?.tokens !== undefined && perStep ? Math.ceil(train.tokens / perStep) : undefined)
  if (steps === undefined) return problems
  const warmup = inSteps(schedule.warmupSteps, steps)
  const decay = schedule.kind === 'wsd' ? inSteps(schedule.decaySteps ?? DEFAULT_DECAY, steps) : 0
  if (schedule.warmupSteps >= 1 && warmup >= steps) {
    const message = `schedule.warmupSteps ${warmup} must be less than the ${steps} steps of the run`
    problems.push({ code: 'RUN_CONFLICT', path: ['schedule', 'warmupSteps'], message })
  } else if (warmup + decay > steps && steps > 1) {
    const message = `schedule.warmupSteps ${warmup} and decaySteps ${decay} exceed the ${steps} steps of the run`
    problems.push({ code: 'RUN_CONFLICT', path: ['schedule'], message, atKey: true })
  }
  return problems
}

function keepProblems({ checkpoint }: Sections): Problem[] {
  if (checkpoint?.keepEvery === undefined || checkpoint.keepEvery % checkpoint.everySteps === 0) return []
  const { keepEvery, everySteps } = checkpoint
  const message = `checkpoint.keepEvery ${keepEvery} is not a multiple of checkpoint.everySteps ${everySteps}`
  return [{ code: 'RUN_CONFLICT', path: ['checkpoint', 'keepEvery'], message }]
}

/** The share of a run that wsd decays over when `decaySteps` is left out. */
export const DEFAULT_DECAY = 0.2

/** A number of steps, given as such or as a share of all steps. */
export function inSteps(stepsOrShare: number, steps: number): number {
  return stepsOrShare >= 1 ? stepsOrShare : Math.round(stepsOrShare * steps)
}

function divisors(n: number): number[] {
  const found: number[] = []
  for (let d = 1; d * d <= n; d++) if (n % d === 0) found.push(d, n / d)
  return [...new Set(found)].sort((a, b) => a - b)
}
