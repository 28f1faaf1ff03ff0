export default { test: { setupFiles: ['./vitest-setup.mjs'], include: ['vitest.test.mjs'] } }
