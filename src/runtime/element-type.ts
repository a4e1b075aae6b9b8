/** @file Whether a device computes with an element type, which the tables of a runtime cannot know: asked by one sum. */

import { RegaugeError } from '../errors.ts'
import type { DType } from '../graph/index.ts'
import { ownModel } from './own-model.ts'
import type { Runtime } from './runtime.ts'

/** Adds four zeros in this type. Undefined where that works, else what the runtime says. */
export async function missingElementType(runtime: Runtime, dtype: DType): Promise<string | undefined> {
  const spec = { dtype, shape: [4] } as const
  const model = ownModel({
    name: 'sum',
    nodes: [{ opType: 'Add', inputs: ['a', 'a'], outputs: ['b'] }],
    inputs: [{ name: 'a', ...spec }],
    outputs: [{ name: 'b', ...spec }],
  })
  const [a, b] = [runtime.allocate(spec), runtime.allocate(spec)]
  try {
    const program = await runtime.load(model)
    try {
      await program.bind(new Map([['a', a]]), new Map([['b', b]])).run()
    } finally {
      program.dispose()
    }
    return undefined
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    return error.issues[0]!.message
  } finally {
    for (const tensor of [a, b]) tensor.dispose()
  }
}
