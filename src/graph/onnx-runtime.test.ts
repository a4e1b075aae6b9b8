/** @file Every operation, lowered and run by ONNX Runtime, against the reference's meaning of it. */

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { OP_CASES, type OpCase } from '../../test/op-cases.ts'
import { runGraph } from '../../test/run-graph.ts'
import { createRuntime } from '../runtime/index.ts'
import { gradientRules } from './gradient-rules.ts'
import { Graph } from './graph.ts'
import type { Op } from './ops.ts'
import { evaluate } from './reference.ts'

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())

async function check(op: Op, { attributes, inputs }: OpCase): Promise<void> {
  const graph = new Graph()
  const given = new Map<string, number[]>()
  const tensors = inputs.map(({ dtype, shape, values }, i) => {
    given.set(`x${i}`, [...values])
    return graph.input(`x${i}`, { dtype, shape })
  })
  const made =
    op === 'input' ? [graph.input('x', attributes as never)] : graph.node(op, attributes as never, tensors)
  if (op === 'input') given.set('x', new Array(made[0]!.shape.reduce((n, size) => n * size, 1)).fill(1))
  made.forEach((y, i) => void graph.output(`y${i}`, y))

  const expected = evaluate(graph, given)
  const actual = await runGraph(runtime, graph, given)
  for (const [name, values] of expected) {
    const results = actual.get(name)!
    expect(results.length).toBe(values.length)
    values.forEach((value, i) => {
      const error = Math.abs(results[i]! - value) / Math.max(1, Math.abs(value))
      expect(error, `${name}[${i}] is ${results[i]} instead of ${value}`).toBeLessThan(
        made[0]!.dtype === 'float32' ? 2e-5 : 1e-12,
      )
    })
  }
}

describe('ONNX Runtime agrees with the reference', () => {
  for (const op of Object.keys(gradientRules) as Op[]) {
    test(op, async () => {
      const { any } = OP_CASES[op]
      const property = fc.asyncProperty(any as fc.Arbitrary<OpCase>, (useCase) => check(op, useCase))
      await fc.assert(property, { numRuns: 25, seed: 11 })
    })
  }
})
