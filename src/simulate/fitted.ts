/** @file The constants that `npm run fit` made. Not to be edited. */
import type { Constants } from './constants.ts'

export const FITTED: Constants = {
  general: {
    sustained: { value: 0.999, from: '' },
    matmul: {
      value: 0.6948,
      from: '',
    },
    matmul8: {
      value: 0.682,
      from: '',
    },
    grouped: {
      value: 0.6561,
      from: '',
    },
    attention: {
      value: 0.3587,
      from: '',
    },
    attentionStart: {
      value: 147,
      from: '',
    },
    operands: {
      value: 0.3168,
      from: '',
    },
    bandwidth: {
      value: 0.6142,
      from: '',
    },
    kernel: {
      value: 0.0000113,
      from: '',
    },
    host: {
      value: 0.00008892,
      from: '',
    },
    software: {
      value: 1,
      from: '',
    },
    linkShare: {
      value: 0.7437,
      from: '',
    },
    networkShare: {
      value: 0.6256,
      from: '',
    },
    linkLatency: {
      value: 0.000005309,
      from: '',
    },
    networkLatency: {
      value: 0.00001067,
      from: '',
    },
    exposed: {
      value: 0.07211,
      from: '',
    },
    exposedTensor: {
      value: 0.5894,
      from: '',
    },
    step: {
      value: 0.004887,
      from: '',
    },
    straggling: {
      value: 0.003267,
      from: '',
    },
  },
  lineages: {},
  architectures: {
    ampere: {
      matmul: {
        value: 0.774,
        from: '',
      },
      matmul8: {
        value: 0.682,
        from: '',
      },
      grouped: {
        value: 0.6561,
        from: '',
      },
      attention: {
        value: 0.4816,
        from: '',
      },
      attentionStart: {
        value: 123.3,
        from: '',
      },
      linkShare: {
        value: 0.7786,
        from: '',
      },
      networkShare: {
        value: 0.6256,
        from: '',
      },
      bandwidth: {
        value: 0.7297,
        from: '',
      },
      kernel: {
        value: 0.00001177,
        from: '',
      },
    },
    hopper: {
      matmul: {
        value: 0.7662,
        from: '',
      },
      matmul8: {
        value: 0.7695,
        from: '',
      },
      grouped: {
        value: 0.7399,
        from: '',
      },
      attention: {
        value: 0.2608,
        from: '',
      },
      attentionStart: {
        value: 136.6,
        from: '',
      },
      linkShare: {
        value: 0.7865,
        from: '',
      },
      networkShare: {
        value: 0.6256,
        from: '',
      },
      bandwidth: {
        value: 0.3849,
        from: '',
      },
      kernel: {
        value: 0.00001288,
        from: '',
      },
    },
    blackwell: {
      matmul: {
        value: 0.4757,
        from: '',
      },
      matmul8: {
        value: 0.6113,
        from: '',
      },
      grouped: {
        value: 0.6604,
        from: '',
      },
      attention: {
        value: 0.4045,
        from: '',
      },
      attentionStart: {
        value: 145.2,
        from: '',
      },
      linkShare: {
        value: 0.718,
        from: '',
      },
      networkShare: {
        value: 0.6256,
        from: '',
      },
      bandwidth: {
        value: 0.6225,
        from: '',
      },
      kernel: {
        value: 0.000013,
        from: '',
      },
    },
    'da-vinci-2': {
      matmul: {
        value: 0.706,
        from: '',
      },
      matmul8: {
        value: 0.682,
        from: '',
      },
      grouped: {
        value: 0.5211,
        from: '',
      },
      attention: {
        value: 0.2776,
        from: '',
      },
      attentionStart: {
        value: 145.3,
        from: '',
      },
      linkShare: {
        value: 0.6771,
        from: '',
      },
      networkShare: {
        value: 0.6256,
        from: '',
      },
      bandwidth: {
        value: 0.6246,
        from: '',
      },
      kernel: {
        value: 0.00001256,
        from: '',
      },
    },
  },
  engines: {
    'megatron-deepspeed': {
      software: {
        value: 0.9582,
        from: '',
      },
      host: {
        value: 0.00006153,
        from: '',
      },
      networkShare: {
        value: 0.7821,
        from: '',
      },
    },
    sailor: {
      software: {
        value: 1.564,
        from: '',
      },
      host: {
        value: 0.00006866,
        from: '',
      },
      networkShare: {
        value: 0.5786,
        from: '',
      },
    },
    'simumax-megatron': {
      software: {
        value: 1.018,
        from: '',
      },
      host: {
        value: 0.000118,
        from: '',
      },
      networkShare: {
        value: 0.6256,
        from: '',
      },
    },
    'megatron-core': {
      software: {
        value: 1.008,
        from: '',
      },
      host: {
        value: 0.00007928,
        from: '',
      },
      networkShare: {
        value: 0.7777,
        from: '',
      },
    },
    nemo: {
      software: {
        value: 0.9614,
        from: '',
      },
      host: {
        value: 0.000126,
        from: '',
      },
      networkShare: {
        value: 0.712,
        from: '',
      },
    },
    'megatron-2021': {
      software: {
        value: 0.999,
        from: '',
      },
      host: {
        value: 0.00008864,
        from: '',
      },
      networkShare: {
        value: 0.6196,
        from: '',
      },
    },
    'megatron-2021-zero3': {
      software: {
        value: 0.9331,
        from: '',
      },
      host: {
        value: 0.00008892,
        from: '',
      },
      networkShare: {
        value: 0.1456,
        from: '',
      },
    },
    'megatron-2022': {
      software: {
        value: 0.9249,
        from: '',
      },
      host: {
        value: 0.00008922,
        from: '',
      },
      networkShare: {
        value: 0.6245,
        from: '',
      },
    },
    'hai-llm': {
      software: {
        value: 0.6017,
        from: '',
      },
      host: {
        value: 0.00008775,
        from: '',
      },
      networkShare: {
        value: 0.7248,
        from: '',
      },
    },
    'aa-scaling': {
      software: {
        value: 1.112,
        from: '',
      },
      host: {
        value: 0.0000905,
        from: '',
      },
      networkShare: {
        value: 0.6026,
        from: '',
      },
    },
    torchtitan: {
      software: {
        value: 1.173,
        from: '',
      },
      host: {
        value: 0.00008892,
        from: '',
      },
      networkShare: {
        value: 0.6192,
        from: '',
      },
    },
    'llm-foundry': {
      software: {
        value: 1.118,
        from: '',
      },
      host: {
        value: 0.00008904,
        from: '',
      },
      networkShare: {
        value: 0.626,
        from: '',
      },
    },
    'pai-megatron': {
      software: {
        value: 0.6735,
        from: '',
      },
      host: {
        value: 0.0001464,
        from: '',
      },
      networkShare: {
        value: 0.6398,
        from: '',
      },
    },
    flagscale: {
      software: {
        value: 1.067,
        from: '',
      },
      host: {
        value: 0.00008959,
        from: '',
      },
      networkShare: {
        value: 0.6248,
        from: '',
      },
    },
    'mindspeed-legacy': {
      software: {
        value: 1.148,
        from: '',
      },
      host: {
        value: 0.00008881,
        from: '',
      },
      networkShare: {
        value: 0.629,
        from: '',
      },
    },
    mindspeed: {
      software: {
        value: 0.9909,
        from: '',
      },
      host: {
        value: 0.00008963,
        from: '',
      },
      networkShare: {
        value: 0.6164,
        from: '',
      },
    },
    mindformers: {
      software: {
        value: 0.9095,
        from: '',
      },
      host: {
        value: 0.00008899,
        from: '',
      },
      networkShare: {
        value: 0.621,
        from: '',
      },
    },
  },
  coverage: {
    'a100-80gb-sxm megatron-deepspeed': 864,
    'gh200-96gb sailor': 25,
    'b200-sxm simumax-megatron': 43,
    'h100-sxm megatron-core': 12,
    'h100-sxm nemo': 26,
    'a100-80gb-sxm megatron-2021': 11,
    'a100-80gb-sxm megatron-2021-zero3': 6,
    'a100-80gb-sxm megatron-2022': 9,
    'h800-sxm hai-llm': 2,
    'a100-80gb-sxm aa-scaling': 27,
    'b200-sxm nemo': 14,
    'h100-sxm-96gb-hbm2e torchtitan': 16,
    'h100-sxm llm-foundry': 7,
    'a100-80gb-sxm llm-foundry': 5,
    'a100-40gb-sxm llm-foundry': 3,
    'h800-sxm pai-megatron': 6,
    'a800-80gb-sxm megatron-core': 7,
    'h800-sxm flagscale': 3,
    'ascend-910b2 mindspeed-legacy': 10,
    'ascend-910b2 mindspeed': 22,
    'ascend-910c-die mindspeed': 2,
    'ascend-910b3 mindformers': 10,
    'ascend-910b2 mindformers': 9,
  },
  bands: {
    'chip and engine': 1.1,
    chip: 1.2,
    family: 1.3,
    'data sheet': 1.5,
  },
}
