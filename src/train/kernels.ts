/** @file Whether a runtime has kernels for the programs of a run, told by tables before anything starts. */
import { RegaugeError } from '../errors.ts'
import { coverage, legalize, type Runtime } from '../runtime/index.ts'
import type { Precision } from '../steps/index.ts'
import type { StepPrograms } from './trainer.ts'

/** Throws `RegaugeError('usage')` where the tables say that the runtime lacks kernels for a program in this precision. */
export function requireKernels(programs: StepPrograms, runtime: Runtime['name'], precision: Precision): void {
  for (const { name, graph } of Object.values(programs)) {
    const { unsupported, nodes } = coverage(legalize(graph, runtime), runtime)
    const [first] = unsupported
    if (first === undefined) continue
    throw new RegaugeError('usage', {
      code: 'RUN_NO_KERNELS',
      message: `${runtime} has no kernels for ${unsupported.length} of the ${nodes} operations of ${name} in ${precision}, first ${first.opType} (${first.name}): ${first.reason}`,
      hint:
        precision === 'float32'
          ? 'run on another runtime (--on)'
          : 'set train.precision to float32, or run on another runtime (--on)',
    })
  }
}
