/** @file Activations of an MLP, alone and as gates, each with its slope. */
import { add, erf, exp, mul, sigmoid, sub, type Tensor, tanh } from '../graph/index.ts'
import type { Activation } from '../model/index.ts'
import { again } from './layers.ts'

/** A function of one variable, element by element. */
interface Rule {
  /** The value y, and what else its slope is made from. */
  readonly forward: (x: Tensor) => { readonly y: Tensor; readonly kept: Tensor }
  /** dy / dx */
  readonly slope: (x: Tensor, y: Tensor, kept: Tensor) => Tensor
}

const ROOT = Math.sqrt(2 / Math.PI)
const CUBIC = 0.044715

const RULES: { readonly [A in Activation]: Rule } = {
  // x sigmoid(x); with s = sigmoid(x) its slope is s + y (1 - s)
  silu: {
    forward: (x) => {
      const kept = sigmoid(x)
      return { y: mul(x, kept), kept }
    },
    slope: (_, y, s) => add(s, sub(y, mul(y, s))),
  },
  // x P(x) of the normal distribution's P (Hendrycks and Gimpel 2016); slope P + x exp(-x^2 / 2) / sqrt(2 pi)
  gelu: {
    forward: (x) => {
      const kept = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5)
      return { y: mul(x, kept), kept }
    },
    slope: (x, _, p) => add(p, mul(mul(x, exp(mul(mul(x, x), -0.5))), 1 / Math.sqrt(2 * Math.PI))),
  },
  // x (1 + t) / 2 with t = tanh(r (x + c x^3)); slope (1 + t) / 2 + x (1 - t^2) r (1 + 3 c x^2) / 2
  gelu_tanh: {
    forward: (x) => {
      const kept = tanh(mul(mul(x, add(mul(mul(x, x), CUBIC), 1)), ROOT))
      return { y: mul(mul(x, add(kept, 1)), 0.5), kept }
    },
    slope: (x, _, t) => {
      const inner = mul(add(mul(mul(x, x), 3 * CUBIC), 1), ROOT / 2)
      return add(mul(add(t, 1), 0.5), mul(mul(x, inner), sub(1, mul(t, t))))
    },
  },
}

/** f(x) of an activation f. */
export function activate(activation: Activation, x: Tensor): Tensor {
  const { graph } = x.node
  const { forward, slope } = RULES[activation]
  return again(graph, () => {
    const { y, kept } = forward(x)
    return graph.overrideGradient(y, [x], [kept, y], (g, [input], [residual, out]) => [
      mul(g, slope(input!, out!, residual!)),
    ])
  })
}

/** f(gate) up of an activation f (Shazeer 2020). */
export function gated(activation: Activation, gate: Tensor, up: Tensor): Tensor {
  const { graph } = gate.node
  const { forward, slope } = RULES[activation]
  return again(graph, () => {
    const { y, kept } = forward(gate)
    return graph.overrideGradient(mul(y, up), [gate, up], [kept, y], (g, [x, u], [residual, out]) => [
      mul(mul(g, u!), slope(x!, out!, residual!)),
      mul(g, out!),
    ])
  })
}

/** gate sigmoid(gate) up. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return gated('silu', gate, up)
}
