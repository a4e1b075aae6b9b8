/** @file Gradients of a graph against central differences, in the double precision of the reference. */
import { evaluate, Graph, gradients, type Tensor } from '../src/graph/index.ts'

/** Where analytic and numeric gradient differ most. */
export interface Difference {
  /** Over the larger of 1 and the numeric gradient. */
  readonly error: number
  readonly place: string
}

/**
 * The worst difference over every element of the named inputs. `build` adds a scalar loss to a graph; inputs that
 * `given` lacks are weights, and take values without a pattern that a wrong rule could share.
 * Constants of the rules are float32, so eight digits are the most to be had.
 */
export function worstDifference(
  build: (graph: Graph) => Tensor,
  given: ReadonlyMap<string, readonly number[]>,
  wrt: readonly string[],
): Difference {
  const forward = new Graph()
  forward.output('loss', build(forward))
  const backward = new Graph()
  const loss = build(backward)
  const grads = gradients(
    loss,
    wrt.map((name) => backward.inputs.get(name)!),
  )
  grads.forEach((g, i) => void backward.output(`gradient of ${wrt[i]}`, g))

  const values = new Map<string, readonly number[]>()
  for (const [name, { shape }] of forward.inputs) {
    const count = shape.reduce((n, size) => n * size, 1)
    values.set(name, given.get(name) ?? Array.from({ length: count }, (_, i) => Math.cos(1 + 2.7 * i)))
  }
  const analytic = evaluate(backward, values)
  const lossAt = (name: string, at: number, x: number): number => {
    const moved = new Map(values).set(name, values.get(name)!.with(at, x))
    return evaluate(forward, moved).get('loss')![0]!
  }
  const h = 1e-5
  let worst: Difference = { error: 0, place: 'nowhere' }
  for (const name of wrt) {
    const g = analytic.get(`gradient of ${name}`)!
    values.get(name)!.forEach((x, at) => {
      const numeric = (lossAt(name, at, x + h) - lossAt(name, at, x - h)) / (2 * h)
      const error = Math.abs(g[at]! - numeric) / Math.max(1, Math.abs(numeric))
      // NaN is the worst of all
      if (!(error <= worst.error))
        worst = { error, place: `d loss / d ${name}[${at}]: ${g[at]}, not ${numeric}` }
    })
  }
  return worst
}
