/** @file Work of operations by hand count, and of a training step against the rule of three forward passes. */
import { describe, expect, test } from 'vitest'
import { PRESETS, parametersOf, readArchitecture } from '../model/index.ts'
import { gradientStep, logitsStep } from '../steps/index.ts'
import {
  costOf,
  Graph,
  gather,
  graphCost,
  matmul,
  reduceSumSquare,
  reshape,
  scatterElements,
  softmax,
} from './index.ts'

describe('costOf', () => {
  const graph = new Graph()
  const x = graph.input('x', { dtype: 'float32', shape: [2, 3, 4] })
  const ids = graph.input('ids', { dtype: 'int64', shape: [5] })

  test('a fused multiply-add is two, whatever is transposed', () => {
    const y = graph.input('y', { dtype: 'float32', shape: [6, 4] })
    expect(costOf(matmul(x, y, { transB: true }).node).flops).toBe(2 * 2 * 3 * 6 * 4)
    const z = graph.input('z', { dtype: 'float32', shape: [3, 6] })
    expect(costOf(matmul(x, z, { transA: true }).node).flops).toBe(2 * 2 * 4 * 6 * 3)
  })

  test('elements in and out', () => {
    expect(costOf(softmax(x).node)).toEqual({ flops: 5 * 24, bytes: 4 * 48 })
    expect(costOf(reduceSumSquare(x, [0]).node)).toEqual({ flops: 48, bytes: 4 * (24 + 12) })
    expect(costOf(reshape(x, [24]).node)).toEqual({ flops: 0, bytes: 0 })
    expect(costOf(x.node)).toEqual({ flops: 0, bytes: 0 })
  })

  test('a lookup reads what it gives back, not the table', () => {
    const table = graph.input('table', { dtype: 'float32', shape: [1000, 8] })
    expect(costOf(gather(table, ids).node)).toEqual({ flops: 0, bytes: 2 * 4 * 40 + 8 * 5 })
  })

  test('adding at places is one addition for each', () => {
    const line = graph.input('line', { dtype: 'float32', shape: [9] })
    const updates = graph.input('updates', { dtype: 'float32', shape: [5] })
    expect(costOf(scatterElements(line, ids, updates, 0, 'add').node).flops).toBe(5)
    expect(costOf(scatterElements(line, ids, updates, 0).node).flops).toBe(0)
  })
})

test('a training step costs about three forward passes, and those two per weight and token', () => {
  const a = readArchitecture(PRESETS.tiny)
  const shape = { microBatch: 2, sequenceLength: 64 }
  const forward = graphCost(logitsStep(a, shape).graph).matmulFlops
  const weights = parametersOf(a).reduce(
    (sum, { shape }) => sum + (shape.length === 2 ? shape[0]! * shape[1]! : 0),
    0,
  )
  // attention's own products come on top
  expect(forward / (2 * weights * 128)).toBeGreaterThan(1)
  expect(forward / (2 * weights * 128)).toBeLessThan(1.05)
  const step = graphCost(gradientStep(a, shape).graph).matmulFlops
  expect(step / forward).toBeGreaterThan(2.99)
  expect(step / forward).toBeLessThan(3.1)
})
