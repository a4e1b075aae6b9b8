/** @file Figures of how far apart things are, the criteria over them, and what a first departure is named. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PROVIDER_NAMES } from '../runtime/index.ts'
import { conclude } from './comparison.ts'
import { CRITERIA, PUBLISHED } from './criteria.ts'
import { firstDeparture } from './departure.ts'
import { createRecorder, type Evidence, type StepPair, type TensorKind } from './evidence.ts'
import { absoluteDifference, compareTensors, mean, relativeDifference, worse } from './metrics.ts'
import { parseTargets } from './targets.ts'

const floats = (...values: number[]) => Float32Array.from(values)

describe('compareTensors', () => {
  const vector = fc.float32Array({
    minLength: 1,
    maxLength: 20,
    noNaN: true,
    noDefaultInfinity: true,
    min: -1e6,
    max: 1e6,
  })
  const pair = fc
    .tuple(vector, vector)
    .map(([a, b]) => [a.subarray(0, b.length), b.subarray(0, a.length)] as const)

  it('measures what the formulas say', () => {
    const { cosine, relativeError, maxAbsolute, distance, norm } = compareTensors(floats(3, 4), floats(4, 3))
    expect({ relativeError, maxAbsolute, distance, norm }).toEqual({
      relativeError: Math.SQRT2 / 5,
      maxAbsolute: 1,
      distance: Math.SQRT2,
      norm: 5,
    })
    expect(cosine).toBeCloseTo(24 / 25, 12)
  })

  it('finds nothing between a tensor and itself', () => {
    fc.assert(
      fc.property(fc.float32Array({ maxLength: 20 }), (a) => {
        expect(compareTensors(a, a.slice())).toMatchObject({ cosine: 1, relativeError: 0, maxAbsolute: 0 })
      }),
    )
  })

  it('keeps its bounds; the distance is the same from both sides, and obeys the triangle', () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const [one, other] = [compareTensors(a, b), compareTensors(b, a)]
        expect(Math.abs(one.cosine)).toBeLessThanOrEqual(1)
        expect(one.cosine).toBeCloseTo(other.cosine, 12)
        expect(one.distance).toBe(other.distance)
        expect(one.maxAbsolute).toBeLessThanOrEqual(one.distance * (1 + 1e-9))
        expect(one.distance).toBeLessThanOrEqual((one.norm + other.norm) * (1 + 1e-9))
      }),
    )
  })

  it('sees a scale that the cosine is blind to', () => {
    fc.assert(
      fc.property(vector, fc.constantFrom(0.5, 2, 4), (a, factor) => {
        fc.pre(a.some((value) => Math.abs(value) > 1e-3))
        const { cosine, relativeError } = compareTensors(
          a,
          a.map((value) => value * factor),
        )
        expect(cosine).toBeCloseTo(1, 12)
        expect(relativeError).toBeCloseTo(Math.abs(factor - 1), 6)
      }),
    )
  })

  it('knows zero tensors, which have no direction', () => {
    const [zero, one] = [floats(0, 0), floats(1, 0)]
    expect(compareTensors(zero, zero)).toMatchObject({ cosine: 1, relativeError: 0 })
    expect(compareTensors(one, zero)).toMatchObject({ cosine: 0, relativeError: 1 })
    expect(compareTensors(zero, one)).toMatchObject({ cosine: 0, relativeError: Number.POSITIVE_INFINITY })
    expect(compareTensors(floats(0), floats(-0))).toMatchObject({ cosine: 1, relativeError: 0 })
    expect(compareTensors(floats(), floats())).toMatchObject({ cosine: 1, relativeError: 0 })
  })

  it('has no figure for what is not finite', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const { cosine, relativeError } of [
        compareTensors(floats(1, bad), floats(1, 2)),
        compareTensors(floats(1, 2), floats(1, bad)),
      ]) {
        expect([cosine, relativeError]).toEqual([Number.NaN, Number.NaN])
      }
    }
    expect(() => compareTensors(floats(1), floats(1, 2))).toThrow('1 and 2 elements')
  })
})

describe('numbers', () => {
  it('are compared with the reference', () => {
    expect(relativeDifference(2, 3)).toBe(0.5)
    expect(relativeDifference(0, 0)).toBe(0)
    expect(relativeDifference(0, 1)).toBe(Number.POSITIVE_INFINITY)
    expect(relativeDifference(Number.NaN, Number.NaN)).toBe(0)
    expect(relativeDifference(1, Number.NaN)).toBe(Number.POSITIVE_INFINITY)
    expect(absoluteDifference(2, Number.NaN)).toBe(Number.POSITIVE_INFINITY)
    expect(absoluteDifference(2, 3)).toBe(1)
  })
  it('that are not finite are the worst', () => {
    expect(worse(Number.NaN, 1)).toBeNaN()
    expect(worse(1, Number.NaN)).toBeNaN()
    expect(worse(1, 2)).toBe(2)
    expect(mean([])).toBeUndefined()
    expect(mean([1, 2])).toBe(1.5)
  })
})

/** Steps whose other loss and norm are `off` and `normOff` times the reference's away. */
function steps(
  count: number,
  off: (step: number) => number = () => 0,
  normOff: (step: number) => number = () => 0,
): StepPair[] {
  return Array.from({ length: count }, (_, i) => {
    const [step, loss, norm] = [i + 1, 4, 2]
    return {
      step,
      loss: [loss, loss * (1 + off(step))],
      gradNorm: [norm, norm * (1 + normOff(step))],
      learningRate: [1e-3, 1e-3],
      data: ['aa', 'aa'],
    }
  })
}

const bare = (pairs: StepPair[]): Evidence => ({ steps: pairs, gradients: [], states: [], tensors: [] })

/** Evidence with the tensors that are given: step, reference, other. */
async function withTensors(
  pairs: StepPair[],
  place: 'gradients' | 'states',
  looks: [number, TensorKind, string, number[], number[]][],
): Promise<Evidence> {
  const recorder = createRecorder()
  for (const step of new Set(looks.map(([at]) => at))) {
    const tensors = looks
      .filter(([at]) => at === step)
      .map(([, kind, name, a, b]) => {
        const layer = /layers\.(\d+)/.exec(name)?.[1]
        const parameter = { name, layer: layer === undefined ? undefined : Number(layer) }
        return [kind, parameter, async () => [floats(...a), floats(...b)] as const] as const
      })
    await recorder.look(place, step, tensors)
  }
  return recorder.evidence(pairs)
}

const verdicts = (evidence: Evidence, spread: Evidence[] = []) => {
  const { criteria } = conclude({ name: 'b', description: '' }, evidence, spread)
  return Object.fromEntries(criteria.map(({ id, verdict }) => [id, verdict]))
}

describe('criteria', () => {
  it('each have a source, a limit and an id of their own', () => {
    expect(new Set(CRITERIA.map(({ id }) => id)).size).toBe(CRITERIA.length)
    for (const { source, measures } of CRITERIA) {
      expect(source.address).toMatch(/^(https:\/\/|src\/)/)
      for (const { limit } of measures) expect(limit).toBeGreaterThanOrEqual(0)
    }
    // as published
    expect(PUBLISHED).toEqual({
      firstLoss: { absolute: 0.005, relative: 0.005 },
      meanLoss: { absolute: 0.01, relative: 0.01, leastSteps: 1000 },
      meanNorm: 0.1,
      laterLoss: { relative: 0.02, fromStep: 21 },
      tensor: { cosine: 0.99, maxAbsolute: 0.001, leastCosine: 0.9, mostAbsolute: 1 },
      tensorGuidance: { relativeError: 0.01 },
    })
  })

  it('say when there are too few steps to pass, and fail all the same', () => {
    expect(verdicts(bare(steps(20)))).toMatchObject({
      'strict-loss': 'pass',
      'first-loss': 'pass',
      'mean-loss': 'not-applicable',
      'mean-norm': 'not-applicable',
      'later-loss': 'not-applicable',
      'strict-gradients': 'not-applicable',
    })
    expect(verdicts(bare(steps(20, () => 0.03)))['mean-loss']).toBe('fail')
    expect(verdicts(bare(steps(21)))['later-loss']).toBe('pass')
    expect(verdicts(bare(steps(1000)))).toMatchObject({ 'mean-loss': 'pass', 'mean-norm': 'pass' })
  })

  it.each([
    ['first-loss', 0.0012, 'pass'], // 0.0048 of 4
    ['first-loss', 0.0049, 'pass'], // by its relative limit alone
    ['first-loss', 0.0051, 'fail'],
    ['later-loss', 0.0199, 'pass'],
    ['later-loss', 0.0201, 'fail'],
  ])('%s at %f is %s', (id, off, verdict) => {
    expect(verdicts(bare(steps(30, () => off)))[id]).toBe(verdict)
  })

  it('judge a tensor by the rule of msprobe', async () => {
    const judged = async (a: number[], b: number[]) => {
      const evidence = await withTensors(steps(1), 'gradients', [[1, 'gradient', 'w', a, b]])
      return verdicts(evidence)['tensor-accuracy']
    }
    expect(await judged([1, 0], [1, 0.05])).toBe('pass') // a large error, and a cosine above 0.99
    expect(await judged([1, 0], [1, 0.2])).toBe('fail')
    expect(await judged([1e-3, 0], [1e-3, 2e-4])).toBe('pass') // a small error, and a cosine above 0.9
    expect(await judged([1e-3, 0], [1e-3, 1e-3])).toBe('fail')
    expect(await judged([9, 0], [10.5, 0])).toBe('fail')
    expect(await judged([1, 0], [Number.NaN, 0])).toBe('fail')
  })

  it('allow as much as the reference is apart from itself', () => {
    const drifting = bare(steps(30, () => 2e-5))
    expect(verdicts(drifting)['strict-loss']).toBe('fail')
    expect(verdicts(drifting, [bare(steps(30, () => 3e-5))])['strict-loss']).toBe('pass')
  })

  it('leave out gradients that are rounding', async () => {
    const evidence = await withTensors(steps(1), 'gradients', [
      [1, 'gradient', 'w', [1, 0], [1, 0]],
      [1, 'gradient', 'b', [1e-8, 0], [0, 1e-8]],
    ])
    expect(evidence.tensors.map(({ name }) => name)).toEqual(['w'])
    expect(verdicts(evidence)['strict-gradients']).toBe('pass')
  })
})

describe('verdict', () => {
  const verdictOf = (evidence: Evidence) => conclude({ name: 'b', description: '' }, evidence, []).verdict
  it('is by the strict limits, then by the published ones', async () => {
    expect(verdictOf(bare(steps(50, () => 9e-6)))).toBe('same')
    // 16-bit products: further apart from the first step on, and accepted
    const half = await withTensors(
      steps(50, () => 1e-3),
      'gradients',
      [[1, 'gradient', 'w', [0.01, 0], [0.01, 1e-4]]],
    )
    expect(verdictOf(half)).toBe('within-criteria')
    expect(firstDeparture(half)).toMatchObject({ step: 1, cause: 'forward' })
    expect(verdictOf(bare(steps(50, () => 0.03)))).toBe('different')
  })
})

describe('firstDeparture', () => {
  it('is none where nothing departs', () => {
    expect(firstDeparture(bare(steps(30, () => 1e-7)))).toBeUndefined()
    expect(firstDeparture(bare([]))).toBeUndefined()
  })

  it('is arithmetic where a difference grows step by step, and no fault', () => {
    const drifting = bare(steps(200, (step) => 1e-7 * 1.05 ** step))
    expect(firstDeparture(drifting)).toMatchObject({ step: 95, cause: 'arithmetic' })
    expect(
      conclude({ name: 'b', description: '' }, bare(steps(150, (s) => 1e-7 * 1.05 ** s)), []).verdict,
    ).toBe('within-criteria')
  })

  it('names the update before a loss that jumps', () => {
    const lost = bare(steps(60, (step) => (step > 40 ? 1e-3 : 1e-7)))
    expect(firstDeparture(lost)).toMatchObject({ step: 40, cause: 'optimizer' })
  })

  it('takes the rounding of 16-bit products for what it is', () => {
    const half = bare(steps(60, (step) => (step > 1 ? 2e-4 : 3e-6)))
    expect(firstDeparture(half)).toMatchObject({ step: 1, cause: 'optimizer' })
    expect(firstDeparture(half, true)).toMatchObject({ step: 2, cause: 'arithmetic' })
    expect(firstDeparture(bare(steps(60, (step) => (step > 9 ? 0.1 : 0))), true)).toMatchObject({
      step: 9,
      cause: 'optimizer',
    })
  })

  it('names a gradient where the norm jumps and the loss does not', () => {
    const wrong = bare(
      steps(
        60,
        () => 0,
        (step) => (step >= 7 ? 0.2 : 0),
      ),
    )
    expect(firstDeparture(wrong)).toMatchObject({ step: 7, cause: 'gradient' })
  })

  it('names data and schedule before what follows from them', () => {
    const pairs = steps(20, (step) => (step >= 5 ? 0.1 : 0))
    const other = pairs.map((pair) => (pair.step === 5 ? { ...pair, data: ['aa', 'bb'] as const } : pair))
    expect(firstDeparture(bare(other))).toMatchObject({ step: 5, cause: 'data' })
    const rates = pairs.map((pair) => (pair.step === 4 ? { ...pair, learningRate: [1, 2] as const } : pair))
    expect(firstDeparture(bare(rates))).toMatchObject({ step: 4, cause: 'schedule' })
  })

  it('takes logs without fingerprints as they are', () => {
    const old = steps(5).map((pair) => ({ ...pair, data: [undefined, 'aa'] as const }))
    expect(firstDeparture(bare(old))).toBeUndefined()
  })

  it('names moments that are other ones, and keeps to arithmetic for those that have moved a little', async () => {
    const name = 'model.layers.3.mlp.up_proj.weight'
    const state = (m: number) =>
      withTensors(steps(9), 'states', [[5, 'first moment', name, [1, 2], [m, 2 * m]]])
    expect(firstDeparture(await state(0))).toMatchObject({
      step: 5,
      cause: 'optimizer',
      layer: 3,
      tensor: { kind: 'first moment', name },
    })
    expect(firstDeparture(await state(0.95))).toMatchObject({ step: 5, cause: 'arithmetic' })
  })
})

describe('parseTargets', () => {
  it('reads what a person lists, and tells every mistake', () => {
    const [first, second] = PROVIDER_NAMES
    expect(parseTargets(`${first}, ${second}:1`)).toEqual([
      { name: first, index: 0 },
      { name: second, index: 1 },
    ])
    expect(() => parseTargets(`${first}:x,tpu9`)).toThrow(/is not a device.*unknown runtime "tpu9"/s)
  })
})
