/** @file Activations of an MLP by the names that configurations have for them. */
import type { Activation } from './decoder.ts'

/** Names in transformers that are one function. */
const ACTIVATIONS: { readonly [A in Activation]: readonly string[] } = {
  silu: ['silu', 'swish'],
  gelu: ['gelu'],
  gelu_tanh: ['gelu_pytorch_tanh', 'gelu_new'],
}

/** All names, for messages. */
export const ACTIVATION_NAMES: readonly string[] = Object.values(ACTIVATIONS).flat()

/** The activation that a configuration names; undefined for any other. */
export function activationOf(name: unknown): Activation | undefined {
  const known = Object.entries(ACTIVATIONS) as [Activation, readonly string[]][]
  return known.find(([, names]) => names.some((one) => one === name))?.[0]
}
