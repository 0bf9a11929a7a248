// Exponential Runge-Kutta methods for y' = L y + N(t, y) with diagonal L: the coefficients, from phi functions of h L.
namespace Continuum

open System

/// A method for semilinear systems whose linear part is treated exactly. Both have order 4, four evaluations of N a step, fixed steps.
type ExponentialMethod =
    /// Exponential time differencing: exact for N = 0 and for constant N, the safer choice where L is stiff.
    /// Order 2 in the worst stiff case. Source: Cox and Matthews 2002; Hochbruck and Ostermann 2005.
    | Etdrk4
    /// RK4 on e^(-Lt) y (integrating factor): exact for N = 0, cheaper coefficients; fixed points move by O(h^4), and its error
    /// constant grows with L where N is not small. Source: Lawson 1967; Cox and Matthews 2002.
    | IntegratingFactorRk4

/// What the stepper needs of states under a diagonal linear part. Coefficients are states, or tensors that broadcast against them.
type internal IDiagonalSpace<'S> =
    abstract Allocate: y: 'S -> 'S
    /// e y + sum_j c_j k_from[j], elementwise; dest is a hint.
    abstract Combine: dest: 'S * e: 'S * y: 'S * c: 'S[] * k: 'S[] * from: int[] -> 'S
    /// e^(hL), phi_1(hL), phi_2(hL), phi_3(hL).
    abstract Phi: h: float -> 'S[]
    /// sum_j w_j a_j of coefficients, plus a constant.
    abstract Mix: constant: float * w: float[] * a: 'S[] -> 'S
    /// a b of coefficients.
    abstract Times: a: 'S * b: 'S -> 'S
    abstract Copy: y: 'S -> 'S
    abstract OpenScope: unit -> IDisposable
    abstract Keep: y: 'S -> 'S
    abstract Free: y: 'S -> unit
    abstract WorstComponent: y: 'S -> string
    /// What Phi reads and Free would free: dense output keeps it alive.
    abstract Held: 'S[]

/// One row of an exponential tableau: e y + sum_j c_j N_from[j].
[<Struct>]
type internal ExponentialRow<'S> = { E: 'S; C: 'S[]; From: int[] }

/// Tableaus for a step length, with their coefficients.
[<RequireQualifiedAccess>]
module internal ExponentialTableau =

    /// Node of each stage; the first stage is the step's start.
    let nodes = [| 0.0; 0.5; 0.5; 1.0 |]

    /// Weights of h theta phi_1, h theta^2 phi_2, h theta^3 phi_3 (all of theta h L) on N_0 .. N_3: the exact solution of
    /// y' = L y + p(t), with p the parabola through N_0, (N_1 + N_2) / 2 and N_3. At theta = 1 these are ETDRK4's weights.
    let private parabola = [| [| 1.0; -3.0; 4.0 |]; [| 0.0; 2.0; -4.0 |]; [| 0.0; 2.0; -4.0 |]; [| 0.0; -1.0; 4.0 |] |]

    let private all = [| 0; 1; 2; 3 |]

    /// The continuous extension of order 3 (local error h^4 in N's smoothness), without a further evaluation of N.
    let dense (space: IDiagonalSpace<'S>) (h: float) (theta: float) : ExponentialRow<'S> =
        let phi = space.Phi(theta * h)
        let powers = [| theta; theta * theta; theta * theta * theta |]
        let weight (row: float[]) = space.Mix(0.0, Array.map2 (fun p w -> h * p * w) powers row, Array.skip 1 phi)
        let inner = weight parabola[1]

        {
            E = phi[0]
            C = [| weight parabola[0]; inner; inner; weight parabola[3] |]
            From = all
        }

    /// Rows of stages 1 to 3 and of the result.
    let rows (space: IDiagonalSpace<'S>) (method: ExponentialMethod) (h: float) : ExponentialRow<'S>[] =
        match method with
        | Etdrk4 ->
            let half = space.Phi(0.5 * h)
            let whole = dense space h 1.0
            let q = space.Mix(0.0, [| 0.5 * h |], [| half[1] |])
            // E_half Q - Q
            let first = space.Mix(0.0, [| 1.0; -1.0 |], [| space.Times(half[0], q); q |])

            [|
                { E = half[0]; C = [| q |]; From = [| 0 |] }
                { E = half[0]; C = [| q |]; From = [| 1 |] }
                {
                    E = whole.E
                    C = [| first; space.Mix(0.0, [| 2.0 |], [| q |]) |]
                    From = [| 0; 2 |]
                }
                whole
            |]
        | IntegratingFactorRk4 ->
            let half = (space.Phi(0.5 * h))[0]
            let whole = (space.Phi h)[0]
            let scaled w e = space.Mix(0.0, [| w * h |], [| e |])
            let number w = space.Mix(w * h, [||], [||])
            let middle = scaled (1.0 / 3.0) half

            [|
                { E = half; C = [| scaled 0.5 half |]; From = [| 0 |] }
                { E = half; C = [| number 0.5 |]; From = [| 1 |] }
                { E = whole; C = [| scaled 1.0 half |]; From = [| 2 |] }
                {
                    E = whole
                    C = [| scaled (1.0 / 6.0) whole; middle; middle; number (1.0 / 6.0) |]
                    From = all
                }
            |]

    /// Visits every coefficient once, also those that rows share.
    let visit (rows: ExponentialRow<'S>[]) (action: 'S -> unit) =
        let seen =
            System.Collections.Generic.HashSet<obj>(System.Collections.Generic.ReferenceEqualityComparer.Instance)

        for row in rows do
            for c in Array.append [| row.E |] row.C do
                if seen.Add(box c) then
                    action c
