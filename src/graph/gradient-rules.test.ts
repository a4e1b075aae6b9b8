/** @file Every gradient rule against central differences in double precision, over generated shapes and values. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { OP_CASES, type OpCase } from '../../test/op-cases.ts'
import { add, mul, reduceSum } from './build.ts'
import { gradientRules } from './gradient-rules.ts'
import { gradients } from './gradients.ts'
import { Graph, type Tensor } from './graph.ts'
import type { Op } from './ops.ts'
import { evaluate } from './reference.ts'

/** sum(w * op(x)) over the outputs that the case uses. */
function lossOf(graph: Graph, op: Op, { attributes, inputs, used }: OpCase): { loss: Tensor; xs: Tensor[] } {
  const xs = inputs.map(({ dtype, shape }, i) => graph.input(`x${i}`, { dtype, shape }))
  const outputs = graph.node(op, attributes as never, xs)
  const terms = outputs.flatMap((y, i) => {
    if (used !== undefined && !used.includes(i)) return []
    return [reduceSum(mul(y, graph.input(`w${i}`, { dtype: 'float32', shape: y.shape })))]
  })
  return { loss: terms.reduce((sum, term) => add(sum, term)), xs }
}

function check(op: Op, useCase: OpCase): void {
  const wrt = useCase.wrt ?? useCase.inputs.flatMap(({ dtype }, i) => (dtype === 'float32' ? [i] : []))
  const forward = new Graph()
  forward.output('loss', lossOf(forward, op, useCase).loss)
  const backward = new Graph()
  const { loss, xs } = lossOf(backward, op, useCase)
  const grads = gradients(
    loss,
    wrt.map((i) => xs[i]!),
  )
  grads.forEach((g, i) => void backward.output(`g${wrt[i]}`, g))

  const given = new Map<string, number[]>()
  useCase.inputs.forEach(({ values }, i) => void given.set(`x${i}`, [...values]))
  for (const [name, { shape }] of forward.inputs) {
    // fixed weights without a pattern that a wrong rule could share
    const count = shape.reduce((n, size) => n * size, 1)
    if (name.startsWith('w'))
      given.set(
        name,
        Array.from({ length: count }, (_, i) => Math.cos(1 + 2.7 * i)),
      )
  }
  const analytic = evaluate(backward, given)
  const lossAt = (name: string, at: number, x: number): number => {
    const moved = new Map(given).set(name, given.get(name)!.with(at, x))
    return evaluate(forward, moved).get('loss')![0]!
  }
  for (const i of wrt) {
    const name = `x${i}`
    const g = analytic.get(`g${i}`)!
    given.get(name)!.forEach((x, at) => {
      const h = 1e-5
      const numeric = (lossAt(name, at, x + h) - lossAt(name, at, x - h)) / (2 * h)
      // constants of the rules are float32, so eight digits are the most to be had
      const error = Math.abs(g[at]! - numeric) / Math.max(1, Math.abs(numeric))
      expect(error, `d loss / d ${name}[${at}]: ${g[at]} instead of ${numeric}`).toBeLessThan(1e-6)
    })
  }
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
      fc.assert(
        fc.property(smooth as fc.Arbitrary<OpCase>, (useCase) => check(op, useCase)),
        { numRuns: 25, seed: 7 },
      )
    })
  }
})
