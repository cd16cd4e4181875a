;; What a network spends its time in: two matrix products, four numbers at a time (WebAssembly SIMD), and moving rows
;; of pixels between images and patches; and ReLU.
;; All addresses are in bytes; matrices are float32, row after row. network.js calls them; the rest is JavaScript.
;; kernel.wasm is this file assembled; a test of the project assembles it anew and compares.
(module
  (memory (export "memory") 1)

  ;; y[M] = bias[M] + A[M×K] · x[K].   M and K are multiples of 4.
  (func (export "gemv")
    (param $a i32) (param $x i32) (param $bias i32) (param $y i32) (param $m i32) (param $k i32)
    (local $row i32) (local $p i32) (local $end i32) (local $xs v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (local.set $row (i32.shl (local.get $k) (i32.const 2)))
    (local.set $end (i32.add (local.get $x) (local.get $row)))
    (loop $rows
      (local.set $s0 (v128.const i32x4 0 0 0 0))
      (local.set $s1 (v128.const i32x4 0 0 0 0))
      (local.set $s2 (v128.const i32x4 0 0 0 0))
      (local.set $s3 (v128.const i32x4 0 0 0 0))
      (local.set $p (local.get $x))
      (loop $columns
        (local.set $xs (v128.load (local.get $p)))
        (local.set $s0 (f32x4.add (local.get $s0) (f32x4.mul (local.get $xs) (v128.load (local.get $a)))))
        (local.set $s1 (f32x4.add (local.get $s1) (f32x4.mul (local.get $xs)
          (v128.load (i32.add (local.get $a) (local.get $row))))))
        (local.set $s2 (f32x4.add (local.get $s2) (f32x4.mul (local.get $xs)
          (v128.load (i32.add (local.get $a) (i32.mul (local.get $row) (i32.const 2)))))))
        (local.set $s3 (f32x4.add (local.get $s3) (f32x4.mul (local.get $xs)
          (v128.load (i32.add (local.get $a) (i32.mul (local.get $row) (i32.const 3)))))))
        (local.set $a (i32.add (local.get $a) (i32.const 16)))
        (br_if $columns (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (local.get $end))))
      ;; From the sums of four rows, four lanes each, to one vector of four sums: transpose by shuffles, then add.
      (local.set $xs (f32x4.add
        (i8x16.shuffle 0 1 2 3 16 17 18 19 8 9 10 11 24 25 26 27 (local.get $s0) (local.get $s1))
        (i8x16.shuffle 4 5 6 7 20 21 22 23 12 13 14 15 28 29 30 31 (local.get $s0) (local.get $s1))))
      (local.set $s2 (f32x4.add
        (i8x16.shuffle 0 1 2 3 16 17 18 19 8 9 10 11 24 25 26 27 (local.get $s2) (local.get $s3))
        (i8x16.shuffle 4 5 6 7 20 21 22 23 12 13 14 15 28 29 30 31 (local.get $s2) (local.get $s3))))
      (v128.store (local.get $y) (f32x4.add (v128.load (local.get $bias)) (f32x4.add
        (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $xs) (local.get $s2))
        (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $xs) (local.get $s2)))))
      (local.set $a (i32.add (local.get $a) (i32.mul (local.get $row) (i32.const 3))))
      (local.set $bias (i32.add (local.get $bias) (i32.const 16)))
      (local.set $y (i32.add (local.get $y) (i32.const 16)))
      (br_if $rows (local.tee $m (i32.sub (local.get $m) (i32.const 4))))))

  ;; C[M×N] = bias[M] (to every column) + A[M×K] · B[K×N].   M is a multiple of 4, N of 8.
  ;; Eight columns of B at a time are copied to $panel (K × 8 numbers), so that the innermost loop reads one after the
  ;; other what the first-level cache holds; four rows of A by these eight columns are summed in eight registers.
  (func (export "gemm")
    (param $a i32) (param $b i32) (param $bias i32) (param $c i32) (param $panel i32)
    (param $m i32) (param $k i32) (param $n i32)
    (local $rowA i32) (local $rowB i32) (local $columns i32) (local $rows i32)
    (local $p i32) (local $end i32) (local $q i32) (local $biases i32)
    (local $a0 i32) (local $a1 i32) (local $a2 i32) (local $a3 i32)
    (local $x v128) (local $left v128) (local $right v128)
    (local $l0 v128) (local $r0 v128) (local $l1 v128) (local $r1 v128)
    (local $l2 v128) (local $r2 v128) (local $l3 v128) (local $r3 v128)
    (local.set $rowA (i32.shl (local.get $k) (i32.const 2)))
    (local.set $rowB (i32.shl (local.get $n) (i32.const 2)))
    (local.set $end (i32.add (local.get $panel) (i32.shl (local.get $k) (i32.const 5))))
    (local.set $columns (i32.const 0))
    (loop $eight
      (local.set $p (local.get $panel))
      (local.set $q (i32.add (local.get $b) (local.get $columns)))
      (loop $copy
        (v128.store (local.get $p) (v128.load (local.get $q)))
        (v128.store offset=16 (local.get $p) (v128.load offset=16 (local.get $q)))
        (local.set $q (i32.add (local.get $q) (local.get $rowB)))
        (br_if $copy (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 32))) (local.get $end))))

      (local.set $rows (local.get $m))
      (local.set $biases (local.get $bias))
      (local.set $a0 (local.get $a))
      (local.set $q (i32.add (local.get $c) (local.get $columns)))
      (loop $four
        (local.set $a1 (i32.add (local.get $a0) (local.get $rowA)))
        (local.set $a2 (i32.add (local.get $a1) (local.get $rowA)))
        (local.set $a3 (i32.add (local.get $a2) (local.get $rowA)))
        (local.set $l0 (v128.load32_splat (local.get $biases)))
        (local.set $l1 (v128.load32_splat offset=4 (local.get $biases)))
        (local.set $l2 (v128.load32_splat offset=8 (local.get $biases)))
        (local.set $l3 (v128.load32_splat offset=12 (local.get $biases)))
        (local.set $r0 (local.get $l0))
        (local.set $r1 (local.get $l1))
        (local.set $r2 (local.get $l2))
        (local.set $r3 (local.get $l3))
        (local.set $p (local.get $panel))
        (loop $sum
          (local.set $left (v128.load (local.get $p)))
          (local.set $right (v128.load offset=16 (local.get $p)))
          (local.set $x (v128.load32_splat (local.get $a0)))
          (local.set $l0 (f32x4.add (local.get $l0) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r0 (f32x4.add (local.get $r0) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $x (v128.load32_splat (local.get $a1)))
          (local.set $l1 (f32x4.add (local.get $l1) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r1 (f32x4.add (local.get $r1) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $x (v128.load32_splat (local.get $a2)))
          (local.set $l2 (f32x4.add (local.get $l2) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r2 (f32x4.add (local.get $r2) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $x (v128.load32_splat (local.get $a3)))
          (local.set $l3 (f32x4.add (local.get $l3) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r3 (f32x4.add (local.get $r3) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $a0 (i32.add (local.get $a0) (i32.const 4)))
          (local.set $a1 (i32.add (local.get $a1) (i32.const 4)))
          (local.set $a2 (i32.add (local.get $a2) (i32.const 4)))
          (local.set $a3 (i32.add (local.get $a3) (i32.const 4)))
          (br_if $sum (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 32))) (local.get $end))))
        (v128.store (local.get $q) (local.get $l0))
        (v128.store offset=16 (local.get $q) (local.get $r0))
        (local.set $q (i32.add (local.get $q) (local.get $rowB)))
        (v128.store (local.get $q) (local.get $l1))
        (v128.store offset=16 (local.get $q) (local.get $r1))
        (local.set $q (i32.add (local.get $q) (local.get $rowB)))
        (v128.store (local.get $q) (local.get $l2))
        (v128.store offset=16 (local.get $q) (local.get $r2))
        (local.set $q (i32.add (local.get $q) (local.get $rowB)))
        (v128.store (local.get $q) (local.get $l3))
        (v128.store offset=16 (local.get $q) (local.get $r3))
        (local.set $q (i32.add (local.get $q) (local.get $rowB)))
        (local.set $a0 (local.get $a3))
        (local.set $biases (i32.add (local.get $biases) (i32.const 16)))
        (br_if $four (local.tee $rows (i32.sub (local.get $rows) (i32.const 4)))))
      (br_if $eight (i32.lt_u (local.tee $columns (i32.add (local.get $columns) (i32.const 32))) (local.get $rowB)))))

  ;; to[i] = from[i · step] for i < n; the step in bytes.
  (func (export "gather") (param $to i32) (param $from i32) (param $n i32) (param $step i32)
    (local $end i32) (local $fours i32)
    (local.set $end (i32.add (local.get $to) (i32.shl (local.get $n) (i32.const 2))))
    (if (i32.eq (local.get $step) (i32.const 4)) (then
      (local.set $fours (i32.add (local.get $to) (i32.and (i32.shl (local.get $n) (i32.const 2)) (i32.const -16))))
      (block $none
        (br_if $none (i32.eq (local.get $to) (local.get $fours)))
        (loop $four
          (v128.store (local.get $to) (v128.load (local.get $from)))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (br_if $four (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 16))) (local.get $fours)))))))
    (block $none
      (br_if $none (i32.eq (local.get $to) (local.get $end)))
      (loop $one
        (f32.store (local.get $to) (f32.load (local.get $from)))
        (local.set $from (i32.add (local.get $from) (local.get $step)))
        (br_if $one (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 4))) (local.get $end))))))

  ;; to[i · step] += from[i] for i < n; the step in bytes.
  (func (export "scatter") (param $to i32) (param $from i32) (param $n i32) (param $step i32)
    (local $end i32) (local $fours i32)
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $n) (i32.const 2))))
    (if (i32.eq (local.get $step) (i32.const 4)) (then
      (local.set $fours (i32.add (local.get $from) (i32.and (i32.shl (local.get $n) (i32.const 2)) (i32.const -16))))
      (block $none
        (br_if $none (i32.eq (local.get $from) (local.get $fours)))
        (loop $four
          (v128.store (local.get $to) (f32x4.add (v128.load (local.get $to)) (v128.load (local.get $from))))
          (local.set $to (i32.add (local.get $to) (i32.const 16)))
          (br_if $four (i32.lt_u (local.tee $from (i32.add (local.get $from) (i32.const 16))) (local.get $fours)))))))
    (block $none
      (br_if $none (i32.eq (local.get $from) (local.get $end)))
      (loop $one
        (f32.store (local.get $to) (f32.add (f32.load (local.get $to)) (f32.load (local.get $from))))
        (local.set $to (i32.add (local.get $to) (local.get $step)))
        (br_if $one (i32.lt_u (local.tee $from (i32.add (local.get $from) (i32.const 4))) (local.get $end))))))

  ;; y[i] = max(x[i], slope · x[i]) for i < n, a multiple of 4: ReLU with slope 0, leaky ReLU with slopes up to 1.
  ;; Without a branch: the signs of random numbers cannot be foreseen, and a wrong guess costs more than the sum.
  (func (export "rectify") (param $x i32) (param $y i32) (param $n i32) (param $slope f32)
    (local $end i32) (local $v v128)
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $n) (i32.const 2))))
    (loop $four
      (local.set $v (v128.load (local.get $x)))
      (v128.store (local.get $y)
        (f32x4.max (local.get $v) (f32x4.mul (local.get $v) (f32x4.splat (local.get $slope)))))
      (local.set $y (i32.add (local.get $y) (i32.const 16)))
      (br_if $four (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 16))) (local.get $end))))))
