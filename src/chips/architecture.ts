/** @file The design of a chip's cores: chips of one design reach similar shares of their data sheets. */
import type { Chip } from './types.ts'

/** Designs by a pattern in the id of a chip; the first that matches counts. */
const ARCHITECTURES: readonly (readonly [RegExp, string])[] = [
  [/^ascend-910a|^ascend-910$/i, 'da-vinci-1'],
  [/^ascend-910|^ascend-9[1-4]/i, 'da-vinci-2'],
  [/^ascend-9[5-7]/i, 'da-vinci-3'],
  [/\bv100|^titan-v\b/i, 'volta'],
  [/\brtx-?(20[678]0|titan)|\btitan-?rtx|\bt4\b/i, 'turing'],
  [/\brtx-?30[5-9]0|\ba(10|40)\b|\ba6000\b/i, 'ampere-consumer'],
  [/\ba(100|800)\b/i, 'ampere'],
  [/\bg?h(100|200|800|20)\b/i, 'hopper'],
  [/\bg?b(200|300|30a)\b/i, 'blackwell'],
  [/^mi2/i, 'cdna-2'],
  [/^mi35/i, 'cdna-4'],
  [/^mi3/i, 'cdna-3'],
  [/^gaudi/i, 'gaudi'],
  [/^tpu/i, 'tpu'],
]

/** The design of a chip's cores; the chip's own id where no other known chip shares it. */
export function architectureOf({ id }: Pick<Chip, 'id'>): string {
  return ARCHITECTURES.find(([pattern]) => pattern.test(id))?.[1] ?? id
}
