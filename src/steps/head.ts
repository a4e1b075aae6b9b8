/** @file The end of a decoder: hidden states to logits, the same for training, evaluation and generation. */
import type { Tensor } from '../graph/index.ts'
import type { Architecture } from '../model/index.ts'
import { linear, softCap } from './layers.ts'
import { moduleTensors, type ParameterTensors } from './modules.ts'

/** What turns hidden states into logits. */
export interface Head {
  /** (V, D); the embeddings themselves where they are tied. */
  readonly weight: Tensor
  /** Logits x become cap tanh(x / cap). */
  readonly cap: number | undefined
}

/** The head of a decoder. */
export function headOf(a: Architecture, parameters: ParameterTensors): Head {
  const { weight } = moduleTensors(a, parameters).need(a.tiedEmbeddings ? 'embedding' : 'head')
  return { weight, cap: a.logitCap }
}

/** Logits (N, V) of hidden states (N, D). */
export function logitsOf(hidden: Tensor, { weight, cap }: Head): Tensor {
  return softCap(linear(hidden, weight), cap)
}
