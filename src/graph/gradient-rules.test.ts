/** @file Every gradient rule against central differences in double precision, over generated shapes and values. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { worstDifference } from '../../test/finite-differences.ts'
import { OP_CASES, type OpCase } from '../../test/op-cases.ts'
import { add, mul, reduceSum } from './build.ts'
import { gradientRules } from './gradient-rules.ts'
import type { Graph, Tensor } from './graph.ts'
import type { Op } from './ops.ts'

/** sum(w * op(x)) over the outputs that the case uses. */
function lossOf(graph: Graph, op: Op, { attributes, inputs, used }: OpCase): Tensor {
  const xs = inputs.map(({ dtype, shape }, i) => graph.input(`x${i}`, { dtype, shape }))
  const outputs = graph.node(op, attributes as never, xs)
  const terms = outputs.flatMap((y, i) => {
    if (used !== undefined && !used.includes(i)) return []
    return [reduceSum(mul(y, graph.input(`w${i}`, { dtype: 'float32', shape: y.shape })))]
  })
  return terms.reduce((sum, term) => add(sum, term))
}

function check(op: Op, useCase: OpCase): void {
  const { inputs } = useCase
  const wrt = useCase.wrt ?? inputs.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []))
  const given = new Map(inputs.map(({ values }, i) => [`x${i}`, values]))
  const { error, place } = worstDifference(
    (graph) => lossOf(graph, op, useCase),
    given,
    wrt.map((i) => `x${i}`),
  )
  expect(error, place).toBeLessThan(1e-6)
}

/** Operations through which nothing flows: leaves, and results that jump. */
const WITHOUT: readonly string[] = ['input', 'constant', 'equal', 'less', 'greater']

describe('gradients agree with finite differences', () => {
  for (const op of Object.keys(gradientRules) as Op[]) {
    test(op, () => {
      const { smooth } = OP_CASES[op]
      expect(smooth === null, `${op} needs generated cases, or is one without a gradient`).toBe(
        WITHOUT.includes(op),
      )
      if (smooth === null) return
      const property = fc.property(smooth as fc.Arbitrary<OpCase>, (useCase) => check(op, useCase))
      fc.assert(property, { numRuns: 25, seed: 7 })
    })
  }
})
