import fc from "fast-check";

/** Property-based tests try the same cases every time. */
fc.configureGlobal({ seed: 20_260_615 });
