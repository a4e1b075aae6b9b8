/** @file Programs as a runtime takes them, and whether it has kernels for them, told by tables before anything starts. */
import { RegaugeError } from '../errors.ts'
import { type Graph, inPlaceSafety } from '../graph/index.ts'
import { coverage, legalize, missingElementType, needOf, type Runtime } from '../runtime/index.ts'
import type { ProductPrecision, StepProgram } from '../steps/index.ts'
import type { StepPrograms } from './step-programs.ts'

/** A program as a runtime takes it; the program itself where nothing needs to be rewritten. */
export function legalizeProgram(program: StepProgram, runtime: Runtime['name']): StepProgram {
  const graph = legalize(program.graph, runtime)
  if (graph === program.graph) return program
  // what was rewritten is proven again
  const safe = inPlaceSafety(
    graph,
    program.state.map(({ input, output }) => [input, output]),
  )
  return { ...program, graph, state: program.state.map((pair, i) => ({ ...pair, inPlace: safe[i]! })) }
}

/**
 * The programs as a runtime takes them. Throws `RegaugeError('usage')` where the tables say that it lacks kernels for
 * one of them in this precision; with `allowHost` only for what the host lacks too.
 */
export function requireKernels<P extends StepPrograms>(
  programs: P,
  runtime: Runtime['name'],
  precision: ProductPrecision,
  allowHost = false,
): P {
  const legal = Object.entries(programs).map(([role, program]: [string, StepProgram]) => {
    return [role, legalizeProgram(program, runtime)] as const
  })
  for (const [, { name, graph }] of legal) {
    const { unsupported, nodes } = coverage(graph, runtime)
    const lacking = allowHost ? unsupported.filter(isLeftByHost(graph)) : unsupported
    const [first] = lacking
    if (first === undefined) continue
    throw new RegaugeError('usage', {
      code: 'RUN_NO_KERNELS',
      message: `${runtime} has no kernels for ${lacking.length} of the ${nodes} operations of ${name} in ${precision}, first ${first.opType} (${first.name}): ${first.reason}`,
      hint:
        precision === 'float32'
          ? 'run on another runtime (--on)'
          : 'set train.precision to float32, or run on another runtime (--on)',
    })
  }
  return Object.fromEntries(legal) as unknown as P
}

/**
 * Asks the device itself for what the tables cannot know: throws `RegaugeError('environment')` where kernels for the
 * precision need something of the device, and it lacks that.
 */
export async function requirePrecision(runtime: Runtime, precision: ProductPrecision): Promise<void> {
  const need = needOf(runtime.name, precision)
  if (need === undefined) return
  const problem = await missingElementType(runtime, precision)
  if (problem === undefined) return
  throw new RegaugeError('environment', {
    code: 'RUN_NO_PRECISION',
    message: `${precision} on ${runtime.name} needs ${need} (${problem})`,
    hint: 'set train.precision to float32, or run on another runtime (--on)',
  })
}

/** Tells the nodes of a graph that the host does not take either. */
function isLeftByHost(graph: Graph): (node: { name: string; wouldRunOn: 'host' | 'device' }) => boolean {
  const lacking = new Set(coverage(graph, 'cpu').unsupported.map(({ name }) => name))
  return ({ name, wouldRunOn }) => wouldRunOn === 'device' || lacking.has(name)
}
