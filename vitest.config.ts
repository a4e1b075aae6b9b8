import { defineConfig } from 'vitest/config'
import { SUFFIX, TIERS } from './test/tiers/tiers.ts'

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', './test/tiers/reporter.ts'],
    projects: TIERS.map((tier, order) => ({
      extends: true,
      test: {
        name: tier,
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
