/** @file Short keys of publications, from the words of their titles. */

/** First that fits wins. */
const KEYS: readonly (readonly [RegExp, string])[] = [
  [/vtrain/i, 'vtrain-multi'],
  [/korthikanti/i, 'korthikanti'],
  [/narayanan/i, 'narayanan'],
  [/bloom/i, 'bloom'],
  [/megascale-moe/i, 'megascale-moe'],
  [/megascale|jiang et al/i, 'megascale'],
  [/parallel folding/i, 'moe-folding'],
  [/llama 3 herd/i, 'llama3-report'],
  [/deepseek/i, 'deepseek-v3'],
  [/skywork/i, 'skywork'],
  [/llm-foundry/i, 'llm-foundry'],
  [/hagemann/i, 'hagemann'],
  [/internevo/i, 'internevo'],
  [/xtuner/i, 'xtuner'],
  [/mindspeed/i, 'mindspeed'],
  [/mindformers/i, 'mindformers'],
  [/flagperf/i, 'flagperf'],
  [/megatron-bridge/i, 'megatron-bridge'],
  [/nemo/i, 'nemo'],
  [/torchtitan/i, 'torchtitan'],
  [/megatron-lm.*(readme|table)/i, 'megatron-readme'],
  [/colossal/i, 'colossal-ai'],
  [/glm-130b/i, 'glm-130b'],
  [/telechat/i, 'telechat'],
  [/pangu|huawei/i, 'pangu'],
]

/** 'korthikanti' of 'Korthikanti et al. 2022, …'; the first words of a title that is not known. */
export function sourceKey(source: string): string {
  const known = KEYS.find(([pattern]) => pattern.test(source))
  if (known !== undefined) return known[1]
  const words = source.toLowerCase().match(/[a-z0-9]+/g) ?? ['unnamed']
  return words.slice(0, 2).join('-')
}
