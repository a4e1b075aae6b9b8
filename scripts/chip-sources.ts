/**
 * @file Sources of chip figures that the collected file does not name, found afterwards; most in excerpts, many of them
 * second-hand pages. Names of software (torch devices, resources) are cited from documentation that is common knowledge.
 */

/** Sources by key; a figure that is second-hand says so. */
export const ADDED_SOURCES: Readonly<Record<string, string>> = {
  'atlas-pages':
    'Copy of Huawei product pages (Atlas 800T A2 / 800I A2 / 300I A2 / 800T A3 / 800I A3 / Atlas 350); second-hand copy, not fetched from huawei.com',
  'ascend-ini':
    'GitHub hicann/runtime @681ef7610df13c8128982901142a2c869ddbb53e src/platform/platform_config/cann/Ascend*.ini (Huawei CANN platform config; also cann-dev/ for Ascend950*); peak derived = cores*8192*freq (16x16x16 cube, 2 flop/MAC) + AIV*128*2*freq',
  'mind-cluster': 'GitHub Ascend/mind-cluster @22bb3d987b component/ascend-common/api/default_name.go',
  'die-shots':
    'Die shots of Ascend 910 and 910B, after Tom’s Hardware, Dec 2024 (second-hand): https://bytefeed.ai/technology/huaweis-homegrown-ai-chip-examined-chinese-fab-smic-produced-ascend-910b-is-massively-different-from-the-tsmc-produced-ascend-910/',
  '910-power':
    '310 W measured, 350 W design: https://www.besthub.dev/articles/how-huawei-ascend-910-redefines-ai-training-performance-d95c7f11f1dc',
  'blog-910b1': 'arthurchiao.art blog on an 8x910B1 host',
  keynote:
    'Huawei Connect 18 Sep 2025 keynote (Eric Xu): https://afnnews.qaasid.com/?p=196304 transcript; https://reportify.ai/social-media/721147635404288 (2 TB/s, 2.5x of the 910C); https://www.itsupportcn.com/show-116-293-1.html (970: 4 TB/s) (all secondary copies)',
  flagperf: 'GitHub FlagOpen/FlagPerf @1b5a030398 (vendor-submitted measurements)',
  'flagperf-a2':
    'GitHub FlagOpen/FlagPerf @1b5a030398 base/benchmarks/*/ascend/README.md (vendor-submitted measurements on Atlas 800T A2)',
  'flagperf-bi150':
    'GitHub FlagOpen/FlagPerf @47a36e1727 base/benchmarks/main_memory-capacity/iluvatar/BI150/README.md (TDP 350 W, 63.66 GiB measured)',
  'flagperf-c550':
    'GitHub FlagOpen/FlagPerf @799d12a79c base/benchmarks/main_memory-capacity/metax/C550/README.md (C550 64G, TDP 450 W, 8 cards a server)',
  'v100-die':
    'GV100 815 mm², TSMC 12 nm: https://www.techrival.com/nvidia-volta-tesla-v100-cards-detailed-150w-single-slot-300w-dual-slot-gv100-powered-pcie-accelerators/',
  'v100-power':
    '300 W of the SXM2 module: http://www.hwupgrade.it/news/skvideo/nvidia-tesla-v100-da-fine-anno-anche-su-slot-pci-express_69475.html',
  ga100: 'GA100 826 mm², NVLink 600 GB/s, SXM 400 W: https://www.techpowerup.com/news-tags/GA100',
  'klockwood-a100': '300+300 GB/s NVLink, 400 W: https://glennklockwood.com/garden/processors/A100',
  'klockwood-b200':
    '2x 900 GB/s NVLink; the GB200 variant at 1,200 W: https://glennklockwood.com/garden/processors/B200',
  aiconfigurator:
    'GitHub ai-dynamo/aiconfigurator (NVIDIA) @095f58a51c4c aic-core/src/aiconfigurator_core/systems/{a100_pcie,a100_sxm,h100_pcie,h100_sxm,h200_sxm,b200_sxm,b300_sxm,gb200,gb300}.yaml',
  'a100-40gb-brief':
    'NVIDIA A100 40GB PCIe product brief PB-10137-001_v03 (NVLink bridge; its figures not seen): https://docslib.org/doc/3015592/a100-40gb-pcie-product-brief',
  'a100-80gb-brief':
    'NVIDIA A100 80GB PCIe product brief PB-10577-001_v03 (NVLink bridge; its figures not seen): https://www.scribd.com/document/684573269/A100-PB-10577-001-v02',
  'a800-articles': 'A800: tweakers.net and heise.de Nov 2022 articles',
  'a800-wiki':
    'Compute and memory of the A100 left unchanged (second-hand): https://aiwiki.ai/wiki/nvidia_a800',
  gh100:
    'GH100 814 mm², TSMC 4N: https://techwarrant.com/nvidia-introduces-4nm-gpu-h100-with-80-billion-transistors-pcie-5-0-and-hbm3',
  'h100-reseller':
    'H100 SXM and PCIe (NVLink 900 and 600 GB/s): https://archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html',
  'h800-datasheet': 'GitHub astroC86/gpu-datasheet README.md (links a copy of the H800 datasheet)',
  'h20-article':
    '400 W, 8-way HGX, NVLink 900 GB/s, performance density 2.9 on the H100 die: https://www.tweaktown.com/news/95224/nvidias-tweaked-h20-ai-gpu-enters-mass-production-in-q2-2024-destined-for-china/index.html',
  'h200-article':
    'Same chip as H100, NVLink 900 GB/s, HGX of eight: https://geektopia.es/es/technology/2023/11/13/noticias/nvidia-anuncia-la-aceleradora-h200-tiene-141-gb-de-hbm3e.html',
  'blackwell-dies': 'hmc-tech product pages (two dies of about 810 mm²; secondary source)',
  'hgx-b200':
    '8 GPUs a node, 1.8 TB/s both ways: https://docs.vultr.com/inference-cookbook/cuda/getting-started/hardware-overview',
  'hgx-b300':
    'HGX B200 and B300: NVLink 1.8 TB/s, network 0.8 and 1.6 TB/s for eight, both ways: https://fibermall.com/blog/?p=17161',
  nvl72:
    'NVL72: trays of 4 GPUs, NVLink 1.8 TB/s, in the GB300 rack 72x ConnectX-8 800G: https://ai-infrastructure.net/nvidia-blackwell-platform/',
  mi300x:
    '192 GB, 5.3 TB/s, 750 W, 896 GB/s in a board of eight: https://www.yobitel.com/knowledge-base/amd-mi300x',
  xgmi: 'Seven links of 128 GB/s both ways: https://www.wheelersnetwork.com/2024/01/',
  mi325x: 'Seven links, eight accelerators a platform: https://wiaix.com/amd-instincttm-mi325x-accelerators',
  mi355x: '288 GB, 8 TB/s, 1,400 W: https://aiwiki.ai/wiki/amd_instinct_mi355x',
  'mi350-trays':
    'Platform trays of eight: https://www.jaredwatkins.com/research/ai-accelerators/amd-instinct/mi350-series/',
  'pytorch-rocm': 'GitHub kubeflow/trainer @8c0f5059bd51 docs/user-guides/pytorch-rocm.md (amd.com/gpu)',
  gaudi2: '96 GB, 2.45 TB/s, 600 W: https://www.yobitel.com/knowledge-base/intel-gaudi-2',
  'gaudi2-network':
    '24 ports of 100 Gb/s, servers of eight, 2.4 Tb/s scale-out a server: https://habana.ai/products/networking/',
  gaudi3:
    '128 GB, 3.7 TB/s, 900 W, 24 ports of 200 Gb/s, servers of eight: https://www.yobitel.com/knowledge-base/intel-gaudi-3',
  mlu370: 'guangxilong 2022-03-21 launch article: http://guangxilong.com/c/032129635H022.html',
  'torch-docs':
    'PyTorch documentation: torch.cuda, https://pytorch.org/docs/stable/notes/hip.html, torch.distributed back ends',
  'device-plugin': 'GitHub NVIDIA/k8s-device-plugin README.md (resource nvidia.com/gpu)',
  verl: "GitHub verl-project/verl @1dda039b9 verl/utils/flops_counter.py (MFU denominators) and platform_npu.py (backend 'hccl')",
}

/** Added sources of a chip by group of figures. */
export const ADDED: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'ascend-910a': { process: ['die-shots'], power: ['910-power'] },
  'ascend-910b1': {
    process: ['die-shots'],
    memory: ['ascend-ini', 'atlas-pages'],
    scaleOut: ['atlas-pages'],
    server: ['blog-910b1'],
  },
  'ascend-910b2': { process: ['die-shots'], server: ['atlas-pages'] },
  'ascend-910b2c': { process: ['die-shots'], memory: ['ascend-ini'] },
  'ascend-910b3': { process: ['die-shots'], server: ['atlas-pages'], measured: ['flagperf-a2'] },
  'ascend-910b4': { process: ['die-shots'], scaleOut: ['atlas-pages'], server: ['atlas-pages'] },
  'ascend-910b4-1': {
    process: ['die-shots'],
    scaleUp: ['atlas-pages'],
    scaleOut: ['atlas-pages'],
    server: ['atlas-pages'],
  },
  'ascend-910c': { process: ['die-shots'] },
  'ascend-910c-626': {
    process: ['die-shots'],
    memory: ['atlas-pages'],
    scaleUp: ['atlas-pages'],
    scaleOut: ['atlas-pages'],
    server: ['atlas-pages'],
    software: ['mind-cluster'],
  },
  'ascend-950pr-atlas350': { scaleUp: ['atlas-pages'], power: ['atlas-pages'] },
  'ascend-950pr': { scaleUp: ['keynote'], software: ['mind-cluster'] },
  'ascend-950dt': { scaleUp: ['keynote'], server: ['mind-cluster'] },
  'ascend-960': { scaleUp: ['keynote'] },
  'ascend-970': { scaleUp: ['keynote'] },
  'v100-sxm2-32gb': { process: ['v100-die'], power: ['v100-power'] },
  'a100-40gb-pcie': { process: ['ga100'], scaleUp: ['ga100', 'a100-40gb-brief'] },
  'a100-40gb-sxm': {
    process: ['ga100'],
    scaleUp: ['klockwood-a100', 'aiconfigurator'],
    server: ['aiconfigurator'],
    power: ['klockwood-a100'],
  },
  'a100-80gb-sxm': {
    process: ['ga100'],
    scaleUp: ['klockwood-a100', 'aiconfigurator'],
    server: ['aiconfigurator'],
  },
  'a100-80gb-pcie': { process: ['ga100'], scaleUp: ['ga100', 'a100-80gb-brief'] },
  'a800-80gb-sxm': { process: ['ga100', 'a800-wiki'], memory: ['a800-wiki'] },
  'a800-80gb-pcie': { process: ['ga100', 'a800-wiki'], memory: ['a800-wiki'], scaleUp: ['a800-articles'] },
  'h100-sxm': {
    process: ['gh100'],
    scaleUp: ['h100-reseller', 'aiconfigurator'],
    server: ['aiconfigurator'],
  },
  'h100-pcie': { process: ['gh100'], scaleUp: ['h100-reseller'] },
  'h800-sxm': { process: ['gh100'], memory: ['h800-datasheet'] },
  'h20-96gb': {
    process: ['gh100', 'h20-article'],
    scaleUp: ['h20-article'],
    server: ['h20-article'],
    power: ['h20-article'],
  },
  'h20-141gb': { process: ['gh100', 'h20-article'], scaleUp: ['h20-article'], server: ['h20-article'] },
  'h200-sxm': {
    process: ['gh100', 'h200-article'],
    scaleUp: ['h200-article', 'aiconfigurator'],
    server: ['h200-article', 'aiconfigurator'],
  },
  'b200-sxm': { scaleUp: ['hgx-b200', 'klockwood-b200'], scaleOut: ['hgx-b300'], server: ['hgx-b200'] },
  gb200: { process: ['blackwell-dies'], server: ['nvl72'], power: ['klockwood-b200'] },
  'b300-sxm': { process: ['blackwell-dies'], scaleUp: ['hgx-b300'], server: ['aiconfigurator'] },
  gb300: { process: ['blackwell-dies'], scaleUp: ['nvl72'], scaleOut: ['nvl72'], server: ['nvl72'] },
  mi250x: { software: ['pytorch-rocm'] },
  mi300x: {
    memory: ['mi300x'],
    scaleUp: ['mi300x', 'xgmi'],
    server: ['mi300x'],
    power: ['mi300x'],
    software: ['pytorch-rocm'],
  },
  mi325x: { scaleUp: ['xgmi', 'mi325x'], server: ['mi325x'], software: ['pytorch-rocm'] },
  mi355x: {
    memory: ['mi355x'],
    scaleUp: ['mi350-trays'],
    server: ['mi350-trays'],
    power: ['mi355x'],
    software: ['pytorch-rocm'],
  },
  gaudi2: { memory: ['gaudi2'], scaleOut: ['gaudi2-network'], server: ['gaudi2-network'], power: ['gaudi2'] },
  gaudi3: {
    memory: ['gaudi3'],
    scaleUp: ['gaudi3'],
    server: ['gaudi3'],
    power: ['gaudi3'],
    process: ['gaudi3'],
  },
  'mlu370-x8': {
    memory: ['mlu370'],
    scaleUp: ['mlu370'],
    server: ['mlu370'],
    power: ['mlu370'],
    process: ['mlu370'],
  },
  'metax-c550': { server: ['flagperf-c550'], measured: ['flagperf'] },
  'iluvatar-bi150': { memory: ['flagperf-bi150'], power: ['flagperf-bi150'] },
}

/** Notes that an added source asks for, by chip and group. */
export const ADDED_NOTES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'ascend-910b1': {
    memory:
      'capacity from the platform config; type and bandwidth as of 910B2 and 910B3, no page names this variant',
  },
  'a800-80gb-sxm': { memory: 'as the A100 of the same form' },
  'a800-80gb-pcie': { memory: 'as the A100 of the same form' },
  'h20-141gb': { scaleUp: 'as the H20 96GB' },
  gb200: { process: 'as the B200' },
  'b300-sxm': { process: 'as the B200' },
  gb300: { process: 'as the B200' },
  'iluvatar-bi150': { memory: 'capacity as measured: 63.66 GiB of 64' },
}
