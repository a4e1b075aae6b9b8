/** @file Kernels that were measured alone, made ready to be compared with what is predicted. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Chip } from '../../src/chips/index.ts'
import { BASIC_BEHAVIOUR } from '../../src/engines/index.ts'
import { type Issue, RegaugeError } from '../../src/errors.ts'
import { meanSeen } from '../../src/model/index.ts'
import { deviceSeconds, HALF, NO_WORK, ratesOf, type Work } from '../../src/simulate/evidence.ts'
import { type Behaviour, type Constants, type Machine, machineOf } from '../../src/simulate/index.ts'
import type { readKernels } from './aiconfigurator.ts'
import { readText, requireFolder, throwIssues } from './files.ts'

/** A kernel with the time that it took. */
export interface KernelCase {
  /** What is weighed together: kernels of a kind, measured in one place. */
  readonly source: string
  readonly machine: Machine
  readonly seconds: number
  readonly predicted: (constants: Constants) => number
}

/** No engine: a kernel alone. */
const ALONE: Behaviour = { ...BASIC_BEHAVIOUR, measuredAs: null, lineage: null }
const ALONE_EARLIER: Behaviour = { ...ALONE, earlierAttention: true }

function kernelCase(
  source: string,
  machine: Machine,
  work: Partial<Work>,
  seconds: number,
  { lasting = true, earlier = false, eighth = false } = {},
): KernelCase {
  const whole = { ...NO_WORK, kernels: 1, ...work }
  // what is over before the chip is warm is held by neither its clocks nor its power
  const own = lasting ? machine : { ...machine, effectiveWatts: null }
  return {
    source,
    machine,
    seconds,
    predicted: (constants) => {
      const rates = { ...ratesOf(constants, machine, earlier ? ALONE_EARLIER : ALONE), software: 1 }
      return deviceSeconds(whole, own, rates, eighth)
    },
  }
}

const operands = (m: number, n: number, k: number) => HALF * (m * k + k * n + m * n)

/** Products of one table that a fit takes. */
const PRODUCTS = 60

/** Products of sizes that training has, spread over each table. */
export function productCases(
  tables: ReturnType<typeof readKernels>['products'],
  chips: readonly Chip[],
): KernelCase[] {
  return tables.flatMap(({ chip: name, rows }) => {
    const chip = chips.find(({ id }) => id === name)
    if (chip === undefined) return []
    const machine = machineOf(chip, 1, 'bf16')
    const large = rows.filter(
      ({ dtype, m, n, k }) => dtype === 'bfloat16' && Math.min(m, n, k) >= 512 && m * n * k >= 2 ** 33,
    )
    const step = Math.max(1, large.length / PRODUCTS)
    return Array.from({ length: Math.min(PRODUCTS, large.length) }, (_, i) => {
      const { m, n, k, seconds } = large[Math.floor(i * step)]!
      const work = { flops: 2 * m * n * k, operandBytes: operands(m, n, k) }
      return kernelCase('products', machine, work, seconds, { lasting: false })
    })
  })
}

/** Characters of a line that an error repeats. */
const MOST_SHOWN = 40

const count = z.int().positive().max(1e12)
const seconds = z.number().min(1e-9).max(1e4)
/** A line of the files that scripts/measure-kernels.py writes, after the first. */
const measuredKernel = z.discriminatedUnion('kernel', [
  z.strictObject({ kernel: z.enum(['product', 'product8']), m: count, n: count, k: count, seconds }),
  z.strictObject({ kernel: z.literal('grouped'), groups: count, m: count, n: count, k: count, seconds }),
  z.strictObject({
    kernel: z.literal('attention'),
    by: z.enum(['cudnn', 'flash-attention-2']),
    pass: z.enum(['forward', 'backward']),
    batch: count,
    tokens: count,
    heads: count,
    key_heads: count,
    key_size: count,
    value_size: count,
    seconds,
  }),
  z.strictObject({ kernel: z.literal('elementwise'), op: z.string(), bytes: count, seconds }),
])
const measuredOn = z.looseObject({ chip: z.string() })

/** Where those are that were measured for this project. */
export const KERNELS_FOLDER = join(import.meta.dirname, 'kernels')

/**
 * The kernels of a folder of files that scripts/measure-kernels.py wrote, each measured for as long as a chip takes to get warm.
 * Throws a `data` error with every line that is none.
 */
export function ownKernels(chips: readonly Chip[], folder = KERNELS_FOLDER): KernelCase[] {
  requireFolder(folder)
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .flatMap((name) => fileCases(join(folder, name), chips))
}

function fileCases(file: string, chips: readonly Chip[]): KernelCase[] {
  const issues: Issue[] = []
  const read = <T>(schema: z.ZodType<T>, text: string | undefined, line: number): T | undefined => {
    const fail = (message: string) => void issues.push({ code: 'EVIDENCE_KERNEL', message, file, line })
    try {
      const { data, error } = schema.safeParse(JSON.parse(text ?? ''))
      if (error === undefined) return data
      fail(
        error.issues
          .map(({ path, message }) =>
            (path.length > 0 ? `${path.join('.')}: ${message}` : message).slice(0, 200),
          )
          .join(', '),
      )
    } catch {
      fail(text ? `is no JSON: ${text.slice(0, MOST_SHOWN)}` : 'is empty, where a line of JSON is due')
    }
    return undefined
  }
  const [first, ...lines] = readText(file).trimEnd().split(/\r?\n/)
  const id = read(measuredOn, first, 1)?.chip
  const chip = chips.find((one) => one.id === id)
  if (id !== undefined && chip === undefined) {
    const hint = 'name it by its id in `regauge chips`'
    const message = `the chip ${id.slice(0, MOST_SHOWN)} is not known`
    issues.push({ code: 'EVIDENCE_CHIP', message, file, line: 1, hint })
  }
  const kernels = lines.map((line, i) => read(measuredKernel, line, i + 2))
  throwIssues(file, issues)
  return kernels.map((kernel, i) => {
    try {
      return ownCase(kernel!, machineOf(chip!, 1, kernel!.kernel === 'product8' ? 'fp8' : 'bf16'))
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      throw new RegaugeError(
        'data',
        error.issues.map(({ code, message }) => ({ code, message, file, line: i + 2 })),
        { cause: error },
      )
    }
  })
}

function ownCase(one: z.output<typeof measuredKernel>, machine: Machine): KernelCase {
  const source = `${one.kernel} on ${machine.chip.id}`
  switch (one.kernel) {
    case 'product':
    case 'product8': {
      const { m, n, k } = one
      const eighth = one.kernel === 'product8'
      // factors of a byte, and what comes out in 16 bits
      const bytes = eighth ? m * k + k * n + HALF * m * n : operands(m, n, k)
      return kernelCase(source, machine, { flops: 2 * m * n * k, operandBytes: bytes }, one.seconds, {
        eighth,
      })
    }
    case 'grouped': {
      const { groups, m, n, k } = one
      const work = { groupedFlops: 2 * groups * m * n * k, operandBytes: groups * operands(m, n, k) }
      return kernelCase(source, machine, work, one.seconds)
    }
    case 'attention': {
      // four products backward, and that of the scores again
      const times = one.pass === 'forward' ? 1 : 2.5
      const T = one.batch * one.tokens
      const query = one.heads * one.key_size
      const output = one.heads * one.value_size
      const perKey = times * 2 * T * (query + output)
      const kept = one.key_heads * (one.key_size + one.value_size)
      const work = {
        attentionFlops: perKey * meanSeen(one.tokens, undefined),
        attentionFlopsPerKey: perKey,
        elementwiseBytes: (one.pass === 'forward' ? 1 : 2) * HALF * T * (query + kept + output),
        kernels: one.pass === 'forward' ? 1 : 2,
      }
      return kernelCase(source, machine, work, one.seconds, { earlier: one.by === 'flash-attention-2' })
    }
    case 'elementwise':
      return kernelCase(source, machine, { elementwiseBytes: one.bytes }, one.seconds)
  }
}
