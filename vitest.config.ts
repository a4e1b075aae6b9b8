import { defineConfig } from 'vitest/config'
import { SUFFIX, TIERS } from './test/tiers/tiers.ts'

export default defineConfig({
  test: {
    reporters: ['default', './test/tiers/reporter.ts'],
    projects: TIERS.map((tier, order) => ({
      extends: true,
      test: {
        name: tier,
        // a processor that is busy, or that software stands in for, takes its time: this is for what never ends
        testTimeout: tier === 'unit' ? 60_000 : 300_000,
        hookTimeout: tier === 'unit' ? 60_000 : 300_000,
        include: [`{src,test}/**/*${SUFFIX[tier]}`],
        exclude: TIERS.filter((other) => SUFFIX[other].length > SUFFIX[tier].length).map(
          (other) => `**/*${SUFFIX[other]}`,
        ),
        // one tier after the other, the quick ones first
        sequence: { groupOrder: order },
        // files of unit tests share what they import
        isolate: tier !== 'unit',
        setupFiles: tier === 'unit' ? ['test/tiers/no-process.ts'] : [],
        // the build is imported as it is
        server: { deps: { external: [/\/dist\//] } },
        globalSetup: tier === 'e2e' ? ['test/tiers/build.ts'] : [],
      },
    })),
  },
})
