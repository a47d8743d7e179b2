export default {
  testEnvironment: 'node',
  // The tests are ES modules as they are.
  transform: {},
  // One browser at a time: frames and quotas are measured.
  maxWorkers: 1,
  testTimeout: 60_000,
};
