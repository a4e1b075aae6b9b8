/** @file The constants, as `npm run fit` makes them from measured steps. */
import type { Constants } from './constants.ts'

export const FITTED = {
  general: {
    matmul: 0.8357,
    matmul8: 0.7126,
    perWatt: 1104000000000,
    perWatt8: 2874000000000,
    grouped: 0.8016,
    attention: 0.4915,
    attentionEarlier: 0.5456,
    attentionStart: 328.8,
    operands: 0.364,
    bandwidth: 0.7994,
    kernel: 0.000005422,
    host: 0.00006133,
    software: 1.097,
    linkShare: 0.754,
    networkShare: 0.7618,
    linkLatency: 0.000006733,
    networkLatency: 0.00001836,
    exposed: 0.2947,
    exposedTensor: 0.4388,
    step: 0.004075,
    straggling: 0.003178,
  },
  architectures: {
    ampere: {
      matmul: 0.3311,
      attention: 0.8134,
      attentionStart: -0.04405,
      operands: -0.04171,
      kernel: 0.5387,
    },
    hopper: {
      matmul: 0.05829,
      matmul8: -0.282,
      grouped: 0.2874,
      attention: 0.1519,
      attentionStart: -0.2536,
      operands: 0.2151,
      linkShare: 0.2964,
      kernel: -0.103,
    },
    'ampere-consumer': {
      matmul: 0.01686,
    },
    turing: {
      matmul: -0.01799,
    },
    blackwell: {
      matmul: -0.7605,
      matmul8: 0.4474,
      grouped: 0.148,
      attention: 0.01327,
      attentionStart: -0.05538,
      operands: -0.1414,
      kernel: -0.3545,
    },
    'da-vinci-2': {
      matmul: 0.2255,
      attention: -0.8063,
      attentionStart: -0.09563,
      operands: 0.01246,
      linkShare: -0.2625,
      kernel: 0.07187,
    },
  },
  lineages: {
    'megatron-fork': {
      software: 0.07225,
      host: 0.04615,
    },
    megatron: {
      software: -0.03955,
      host: 0.2651,
    },
    'hai-llm': {
      software: -0.04734,
    },
    fsdp: {
      software: 0.03809,
    },
    mindspeed: {
      software: 0.01069,
    },
  },
  engines: {
    'megatron-deepspeed': {
      software: -0.1327,
      host: -0.06136,
      networkShare: 0.1884,
    },
    sailor: {
      software: 0.2077,
      host: 0.11,
      networkShare: -0.02257,
    },
    'simumax-megatron': {
      software: 0.03136,
      host: 0.3475,
      grouped: -0.03734,
    },
    nemo: {
      software: 0.03078,
      host: -0.1908,
      grouped: -2.07,
    },
    'megatron-2021': {
      software: 0.02547,
    },
    'megatron-2021-zero3': {
      software: 0.07718,
      networkShare: 0.01388,
    },
    'megatron-2022': {
      software: -0.04684,
    },
    'hai-llm': {
      software: -0.04989,
      networkShare: 0.0446,
      grouped: 0.03614,
    },
    bigscience: {
      software: 0.01437,
      networkShare: -0.01419,
    },
    'aa-scaling': {
      software: -0.01241,
      host: -0.01008,
      networkShare: -0.01154,
    },
    torchtitan: {},
    'llm-foundry': {
      software: 0.04307,
      networkShare: 0.0154,
    },
    'pai-megatron': {
      software: -0.2605,
      host: -0.02902,
      networkShare: 0.01368,
      grouped: 0.06013,
    },
    'megatron-core': {
      software: 0.052,
      host: 0.2352,
      networkShare: -0.01013,
      grouped: -0.01662,
    },
    flagscale: {
      software: -0.03372,
    },
    'mindspeed-legacy': {
      software: 0.04412,
      host: -0.02776,
    },
    mindspeed: {
      software: 0.02285,
      host: 0.02086,
      networkShare: -0.01496,
    },
    mindformers: {
      software: -0.05814,
    },
  },
  sources: {
    '': 'vtrain-single 790, vtrain-multi 64, sailor 30, simumax-b200 43, megatron-readme 2, narayanan 17, korthikanti 9, deepseek-v3 2, bloom 10, hagemann 27, megatron-bridge 30, nemo 8, torchtitan 16, llm-foundry 15, xtuner 6, flagperf 16, mindspeed 33, mindformers 18, products 240, product on h100-sxm 219, product8 on h100-sxm 45, grouped on h100-sxm 48, attention on h100-sxm 60, elementwise on h100-sxm 15',
    ampere:
      'vtrain-single 790, vtrain-multi 64, narayanan 17, korthikanti 9, bloom 10, hagemann 27, llm-foundry 8, flagperf 7, products 120',
    hopper:
      'sailor 25, megatron-readme 2, deepseek-v3 2, megatron-bridge 16, nemo 8, torchtitan 16, llm-foundry 7, xtuner 6, flagperf 9, products 60, product on h100-sxm 219, product8 on h100-sxm 45, grouped on h100-sxm 48, attention on h100-sxm 60, elementwise on h100-sxm 15',
    'ampere-consumer': 'sailor 5',
    turing: 'sailor 5',
    blackwell: 'simumax-b200 43, megatron-bridge 14, products 60',
    'da-vinci-2': 'mindspeed 33, mindformers 18',
    'megatron-fork': 'vtrain-single 790, vtrain-multi 64, sailor 30, narayanan 6, bloom 10, flagperf 3',
    megatron:
      'simumax-b200 43, megatron-readme 2, narayanan 11, korthikanti 9, megatron-bridge 30, nemo 8, xtuner 6, flagperf 13',
    'hai-llm': 'deepseek-v3 2',
    fsdp: 'hagemann 27, torchtitan 16, llm-foundry 15',
    mindspeed: 'mindspeed 23',
    'megatron-deepspeed': 'vtrain-single 790, vtrain-multi 64',
    sailor: 'sailor 30',
    'simumax-megatron': 'simumax-b200 43',
    nemo: 'megatron-readme 2, megatron-bridge 30, nemo 8',
    'megatron-2021': 'narayanan 11',
    'megatron-2021-zero3': 'narayanan 6',
    'megatron-2022': 'korthikanti 9',
    bigscience: 'bloom 10',
    'aa-scaling': 'hagemann 27',
    torchtitan: 'torchtitan 16',
    'llm-foundry': 'llm-foundry 15',
    'pai-megatron': 'xtuner 6',
    'megatron-core': 'flagperf 13',
    flagscale: 'flagperf 3',
    'mindspeed-legacy': 'mindspeed 10',
    mindformers: 'mindformers 18',
  },
  coverage: {
    'a100-80gb-sxm megatron-deepspeed': 854,
    'gh200-96gb sailor': 25,
    'rtx-3090 sailor': 5,
    'b200-sxm simumax-megatron': 43,
    'h100-sxm nemo': 26,
    'a100-80gb-sxm megatron-2021': 11,
    'a100-80gb-sxm megatron-2021-zero3': 6,
    'a100-80gb-sxm megatron-2022': 9,
    'h800-sxm hai-llm': 2,
    'a100-80gb-sxm bigscience': 10,
    'a100-80gb-sxm aa-scaling': 27,
    'b200-sxm nemo': 14,
    'h100-sxm-96gb-hbm2e torchtitan': 16,
    'h100-sxm llm-foundry': 7,
    'a100-80gb-sxm llm-foundry': 5,
    'a100-40gb-sxm llm-foundry': 3,
    'h800-sxm pai-megatron': 6,
    'a800-80gb-sxm megatron-core': 7,
    'h100-sxm megatron-core': 6,
    'h800-sxm flagscale': 3,
    'ascend-910b2 mindspeed-legacy': 10,
    'ascend-910b2 mindspeed': 21,
    'ascend-910c-die mindspeed': 2,
    'ascend-910b3 mindformers': 10,
    'ascend-910b2 mindformers': 8,
  },
  bands: {
    'chip and engine': 1.173,
    chip: 1.177,
    family: 1.214,
    'data sheet': 1.214,
  },
} as const satisfies Constants

/** Software whose steps were measured, and what engines are built on: the keys of what was fitted. */
export type MeasuredSoftware = keyof typeof FITTED.engines
export type Lineage = keyof typeof FITTED.lineages
