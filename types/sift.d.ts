/** The ES module inside sift, which bundlers can shake; its own types name only the package. */
declare module 'sift/es/index.js' {
  export { $and, $eq, $gt, $gte, $in, $lt, $lte, $ne, $nor, $or } from 'sift';
  export { createQueryOperation, createQueryTester } from 'sift';
}
