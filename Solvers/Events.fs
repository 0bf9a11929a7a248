// Finding the zeros of event functions inside an accepted step.
namespace Continuum

open System

/// The root finder and the state that event detection carries from step to step.
[<RequireQualifiedAccess>]
module internal Events =

    /// A zero of f in [a, b] given f(a) = fa and f(b) = fb of opposite sign (fb may be 0), by Brent's method.
    /// Returns a point on b's side of the zero. Brent 1973, Algorithms for Minimization without Derivatives, ch. 4.
    let root (f: float -> float) (a: float) (fa: float) (b: float) (fb: float) (tolerance: float) : float =
        let mutable a, fa, b, fb = a, fa, b, fb
        let mutable c, fc = a, fa
        let mutable d = b - a
        let mutable e = d
        let mutable rounds = 0
        let signOfEnd = sign fb
        let mutable side = b

        while fb <> 0.0 && abs (c - b) > tolerance && rounds < 100 do
            rounds <- rounds + 1

            if abs fc < abs fb then
                a <- b
                b <- c
                c <- a
                fa <- fb
                fb <- fc
                fc <- fa

            let m = 0.5 * (c - b)
            let tol = 0.5 * tolerance

            if abs m > tol then
                if abs e < tol || abs fa <= abs fb then
                    d <- m
                    e <- m
                else
                    let s = fb / fa

                    let struct (p, q) =
                        if a = c then
                            struct (2.0 * m * s, 1.0 - s)
                        else
                            let q0 = fa / fc
                            let r = fb / fc
                            struct (s * (2.0 * m * q0 * (q0 - r) - (b - a) * (r - 1.0)), (q0 - 1.0) * (r - 1.0) * (s - 1.0))

                    let q = if p > 0.0 then -q else q
                    let p = abs p

                    if 2.0 * p < Math.Min(3.0 * m * q - abs (tol * q), abs (e * q)) then
                        e <- d
                        d <- p / q
                    else
                        d <- m
                        e <- m

                a <- b
                fa <- fb
                b <- if abs d > tol then b + d else b + float (sign m) * tol
                fb <- f b

                if sign fb = signOfEnd then
                    side <- b

                if sign fb = sign fc then
                    c <- a
                    fc <- fa
                    d <- b - a
                    e <- d
            else
                // The bracket is as small as the tolerance allows.
                if sign fb <> signOfEnd && sign fc = signOfEnd then
                    side <- c

                c <- b

        if fb = 0.0 then b else side

    /// Minimum of f on [a, b] by golden section, stopping at the first negative value.
    let private dip (f: float -> float) (a: float) (b: float) : struct (float * float) =
        let ratio = 0.5 * (sqrt 5.0 - 1.0)
        let mutable a, b = a, b
        let mutable x1 = b - ratio * (b - a)
        let mutable x2 = a + ratio * (b - a)
        let mutable f1 = f x1
        let mutable f2 = f x2
        let mutable rounds = 0

        while rounds < 40 && f1 >= 0.0 && f2 >= 0.0 do
            rounds <- rounds + 1

            if f1 < f2 then
                b <- x2
                x2 <- x1
                f2 <- f1
                x1 <- b - ratio * (b - a)
                f1 <- f x1
            else
                a <- x1
                x1 <- x2
                f1 <- f2
                x2 <- a + ratio * (b - a)
                f2 <- f x2

        if f1 <= f2 then struct (x1, f1) else struct (x2, f2)

    /// Sub-points on which the sign of each event function is looked at.
    let samples = 10

    /// The first crossing of the wanted direction in a step. g(theta) is the event function on the step's interpolant;
    /// before is the sign the function had at the start (0: not known, then it is taken just after the start).
    /// Besides sign changes between the samples, dips between samples (two crossings) are looked for.
    /// Returns the bracket (theta before, theta after), or ValueNone, and the sign at the end of the step.
    let firstCrossing (g: float -> float) (before: int) (crossing: Crossing) : struct (struct (float * float) voption * int) =
        let values = Array.init (samples + 1) (fun j -> if j = 0 then 0.0 else g (float j / float samples))

        let struct (start, startSign) =
            if before <> 0 then
                struct (0.0, before)
            else
                let theta = 1e-3 / float samples
                struct (theta, sign (g theta))

        values[0] <- (if before = 0 then g start else g 0.0)
        // The known sign wins over a value that rounding put on the other side right after an event.
        if sign values[0] <> startSign then
            values[0] <- 0.0

        let wanted signBefore =
            match crossing with
            | Either -> true
            | Rising -> signBefore < 0
            | Falling -> signBefore > 0

        let point j = if j = 0 then start else float j / float samples
        let mutable current = startSign
        let mutable found = ValueNone
        let mutable j = 1

        while found.IsNone && j <= samples do
            if current = 0 then
                current <- sign values[j]
            elif sign values[j] <> current && (values[j] <> 0.0 || j = samples || true) then
                if wanted current then
                    found <- ValueSome(struct (point (j - 1), point j))
                elif values[j] <> 0.0 then
                    current <- sign values[j]

                    // the unwanted crossing may be followed by a wanted one later in the step
            else if j < samples && sign values[j + 1] = current then
                // Three samples of one sign: does the parabola through them dip below half of the smallest?
                let s = float current
                let y0, y1, y2 = s * values[j - 1], s * values[j], s * values[j + 1]
                let curvature = y0 - 2.0 * y1 + y2

                if curvature > 0.0 then
                    let vertex = 0.5 * (y0 - y2) / curvature

                    if abs vertex <= 1.0 then
                        let least = y1 - 0.25 * (y0 - y2) * vertex

                        if least < 0.5 * Math.Min(y1, Math.Min(y0, y2)) then
                            let struct (theta, value) = dip (fun x -> s * g x) (point (j - 1)) (point (j + 1))

                            if value < 0.0 then
                                if wanted current then
                                    found <- ValueSome(struct (point (j - 1), theta))
                                elif crossing <> Either then
                                    // In through the unwanted direction, out through the wanted one.
                                    found <- ValueSome(struct (theta, point (j + 1)))

            j <- j + 1

        struct (found, if values[samples] = 0.0 then current else sign values[samples])
