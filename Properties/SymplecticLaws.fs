namespace Continuum.Properties

open System
open Continuum

/// A separable Hamiltonian system to try laws on: yours, or one of HamiltonianProblems.
type HamiltonianProblem = {
    /// For messages.
    Name: string
    /// The equations of motion.
    Hamiltonian: Hamiltonian
    /// H(t, q, p), where it does not depend on t and its conservation is to be checked; ValueNone leaves that law out.
    Energy: (float -> float[] -> float[] -> float) voption
    /// Linear and quadratic invariants of (q, p), with their names (momentum, angular momentum).
    Invariants: struct (string * (float[] -> float[] -> float))[]
    /// T is quadratic in p and does not depend on time.
    Quadratic: bool
    /// Start of the span.
    Start: float
    /// End of the span.
    End: float
    /// Positions at the start.
    Positions: float[]
    /// Momenta at the start.
    Momenta: float[]
}

/// Hamiltonian systems of the literature, and some made to find mistakes.
[<RequireQualifiedAccess>]
module HamiltonianProblems =
    let private field (f: float -> float[] -> float[]) =
        VectorField(fun t x dxdt -> (f t (x.ToArray())).AsSpan().CopyTo dxdt)

    let private free = VectorField(fun _ p dqdt -> p.CopyTo dqdt)
    let private kinetic (p: float[]) = 0.5 * Array.sumBy (fun x -> x * x) p

    /// Kepler's problem in the plane from perihelion, with semi-major axis 1 and period 2 pi.
    let kepler (eccentricity: float) = {
        Name = $"Kepler with eccentricity {eccentricity}"
        Hamiltonian =
            Hamiltonian(
                free,
                VectorField(fun _ q dpdt ->
                    let r2 = q[0] * q[0] + q[1] * q[1]
                    let scale = -1.0 / (r2 * sqrt r2)
                    dpdt[0] <- scale * q[0]
                    dpdt[1] <- scale * q[1])
            )
        Energy = ValueSome(fun _ q p -> kinetic p - 1.0 / sqrt (q[0] * q[0] + q[1] * q[1]))
        Invariants = [| struct ("angular momentum", fun q p -> q[0] * p[1] - q[1] * p[0]) |]
        Quadratic = true
        Start = 0.0
        End = 3.0
        Positions = [| 1.0 - eccentricity; 0.0 |]
        Momenta = [| 0.0; sqrt ((1.0 + eccentricity) / (1.0 - eccentricity)) |]
    }

    /// The pendulum, swinging wide.
    let pendulum = {
        Name = "pendulum"
        Hamiltonian = Hamiltonian(free, field (fun _ q -> [| -(sin q[0]) |]))
        Energy = ValueSome(fun _ q p -> kinetic p - cos q[0])
        Invariants = [||]
        Quadratic = true
        Start = 0.0
        End = 4.0
        Positions = [| 0.4 |]
        Momenta = [| 1.5 |]
    }

    /// Henon and Heiles 1964, at the energy 1/12.
    let henonHeiles = {
        Name = "Henon-Heiles"
        Hamiltonian =
            Hamiltonian(free, field (fun _ q -> [| -q[0] - 2.0 * q[0] * q[1]; -q[1] - q[0] * q[0] + q[1] * q[1] |]))
        Energy =
            ValueSome(fun _ q p ->
                kinetic p + 0.5 * (q[0] * q[0] + q[1] * q[1]) + q[0] * q[0] * q[1] - q[1] * q[1] * q[1] / 3.0)
        Invariants = [||]
        Quadratic = true
        Start = 0.0
        End = 4.0
        Positions = [| 0.0; 0.1 |]
        Momenta = [| 0.39; 0.02 |]
    }

    /// A pendulum under a force and a gravity that depend on time: wrong times of the kicks are seen.
    let driven = {
        pendulum with
            Name = "driven pendulum"
            Hamiltonian =
                Hamiltonian(
                    free,
                    field (fun t q -> [| -(1.0 + 0.5 * cos (2.0 * t)) * sin q[0] + 0.7 * sin (3.0 * t) |])
                )
            Energy = ValueNone
    }

    /// T = sqrt(1 + p^2) (relativistic) and V = q^4/4 - q cos 2t: a kinetic energy that is not quadratic.
    let relativistic = {
        pendulum with
            Name = "relativistic oscillator"
            Hamiltonian =
                Hamiltonian(
                    field (fun _ p -> [| p[0] / sqrt (1.0 + p[0] * p[0]) |]),
                    field (fun t q -> [| -q[0] * q[0] * q[0] + cos (2.0 * t) |])
                )
            Energy = ValueNone
            Quadratic = false
            Momenta = [| 1.0 |]
    }

    /// T = (1 + 0.5 sin 2t) p^2 / 2: a mass that depends on time, so wrong times of the drifts are seen.
    let breathing = {
        pendulum with
            Name = "pendulum of varying mass"
            Hamiltonian =
                Hamiltonian(
                    field (fun t p -> [| (1.0 + 0.5 * sin (2.0 * t)) * p[0] |]),
                    field (fun t q -> [| -(sin q[0]) + 0.3 * cos t |])
                )
            Energy = ValueNone
            Quadratic = false
    }

    /// Those above.
    let all = [| kepler 0.3; pendulum; henonHeiles; driven; relativistic; breathing |]

/// The laws of symplectic methods. Each takes a method and a problem (your own model, say) and says whether the law holds.
[<RequireQualifiedAccess>]
module SymplecticLaws =

    let private distance (a: float[]) (b: float[]) = Array.fold2 (fun worst x y -> max worst (abs (x - y))) 0.0 a b

    let private solve method (options: SolveOptions<float[]>) (problem: HamiltonianProblem) t0 t1 (y0: float[]) =
        let n = y0.Length / 2

        let solution = HamiltonianOde.solve method options problem.Hamiltonian t0 t1 y0[.. n - 1] y0[n..]

        match Solution.toResult solution with
        | Ok solution -> solution
        | Error error -> raise (SolveFailedException(error.Status, error.Time, error.Message, error.Partial.Exception))

    let private start (problem: HamiltonianProblem) = Array.append problem.Positions problem.Momenta

    /// The motion by Vern9 at 1e-13.
    let private reference (problem: HamiltonianProblem) : float -> float[] =
        let options: SolveOptions<float[]> = { SolveOptions.create 1e-13 1e-13 with SaveAt = DenseOutput }

        let solution =
            ArrayOde.solve Methods.Vern9 options problem.Hamiltonian.Field problem.Start problem.End (start problem)

        solution.Dense.Value.At

    let private order (method: Splitting) (problem: HamiltonianProblem) =
        if problem.Quadratic then method.Order else method.GeneralOrder

    let private stepCounts order =
        if order >= 8 then [| 16; 20; 24; 32; 40; 48; 64 |]
        elif order >= 6 then [| 24; 32; 48; 64; 96 |]
        else [| 64; 128; 256; 512 |]

    let private converges what (expected: int) (most: float) (problem: HamiltonianProblem) (error: int -> float) =
        let pairs =
            stepCounts expected
            |> Array.map (fun n -> struct ((problem.End - problem.Start) / float n, error n))

        let observed = Slope.observed pairs

        {
            Law = $"{what} converges with order {expected} on {problem.Name}"
            Holds = observed >= float expected - 0.3 && observed <= float expected + most
            Detail = $"observed order %.2f{observed}; " + Slope.describe pairs
        }

    /// With fixed steps the error at the end falls with the method's order: Order where T is quadratic and free of time, else
    /// GeneralOrder; the observed slope lies within -0.3 and +1 of it (+2.5 for order 8, whose errors meet rounding early).
    let convergence (method: Splitting) (problem: HamiltonianProblem) : LawResult =
        let exact = reference problem problem.End

        converges method.Name (order method problem) (if method.Order >= 8 then 2.5 else 1.0) problem (fun n ->
            let h = (problem.End - problem.Start) / float n

            (solve method (FixedSteps.every (abs h)) problem problem.Start problem.End (start problem)).FinalState
            |> distance exact)

    /// Dense output, between the steps, converges with the method's order at least.
    let denseConvergence (method: Splitting) (problem: HamiltonianProblem) : LawResult =
        let exact = reference problem

        converges $"dense output of {method.Name}" (order method problem) infinity problem (fun n ->
            let h = (problem.End - problem.Start) / float n
            let options = { FixedSteps.every (abs h) with SaveAt = DenseOutput }
            let solution = solve method options problem problem.Start problem.End (start problem)

            [| 0.13; 0.37; 0.5; 0.71; 0.93 |]
            |> Array.map (fun theta ->
                let t = problem.Start + (float (n / 2) + theta) * h
                distance (exact t) (solution.Dense.Value.At t))
            |> Array.max)

    /// The Jacobian J of a map of (q; p) satisfies J^T Omega J = Omega to the tolerance (about 1e-9: differences of order 4).
    /// The map may be any: a step, a flow over a longer time, a method of your own.
    let symplecticMap (name: string) (tolerance: float) (map: float[] -> float[]) (at: float[]) : LawResult =
        let n = at.Length / 2
        let delta = 1e-3

        let column i =
            let moved factor = map (Array.mapi (fun j x -> if j = i then x + factor * delta else x) at)

            let near = Array.map2 (-) (moved 1.0) (moved -1.0)
            let far = Array.map2 (-) (moved 2.0) (moved -2.0)
            Array.map2 (fun a b -> (8.0 * a - b) / (12.0 * delta)) near far

        let jacobian = Array.init (2 * n) column

        let form (a: float[]) (b: float[]) = Array.init n (fun i -> a[i] * b[n + i] - a[n + i] * b[i]) |> Array.sum

        let mutable worst = 0.0

        for i in 0 .. 2 * n - 1 do
            for j in 0 .. 2 * n - 1 do
                let omega =
                    if j = i + n then 1.0
                    elif i = j + n then -1.0
                    else 0.0

                worst <- max worst (abs (form jacobian[i] jacobian[j] - omega))

        {
            Law = $"{name} is symplectic: J^T Omega J = Omega"
            Holds = worst <= tolerance
            Detail = $"largest entry of the difference %.1e{worst}, tolerance %.0e{tolerance}"
        }

    /// Three steps of a method, of length h, are a symplectic map.
    let symplectic (method: Splitting) (h: float) (problem: HamiltonianProblem) : LawResult =
        let map y0 = (solve method (FixedSteps.every h) problem problem.Start (problem.Start + 3.0 * h) y0).FinalState

        let law = symplecticMap $"three steps of {method.Name}" 1e-9 map (start problem)
        { law with Law = $"{law.Law}, on {problem.Name}" }

    /// A symmetric method's way back over the same steps ends where it began, up to rounding (1e-11). Holds by no means for
    /// methods that are not symmetric.
    let reversibility (method: Splitting) (problem: HamiltonianProblem) : LawResult =
        let options = FixedSteps.every ((problem.End - problem.Start) / 64.0)
        let forth = solve method options problem problem.Start problem.End (start problem)
        let back = solve method options problem problem.End problem.Start forth.FinalState
        let gap = distance back.FinalState (start problem)

        {
            Law = $"{method.Name}: there and back over the same steps, on {problem.Name}"
            Holds = gap <= 1e-11
            Detail = $"gap %.1e{gap}"
        }

    /// Along a solution that saved its steps, the energy error does not grow: the largest of the last quarter is at most
    /// one and a half of the largest of the first quarter (or 1e-12). For any solver's solution, so that others can be compared.
    let boundedEnergy
        (name: string)
        (energy: float -> float[] -> float[] -> float)
        (solution: Solution<float[]>)
        : LawResult =
        let errors =
            let of' (t: float) (y: float[]) =
                let n = y.Length / 2
                energy t y[.. n - 1] y[n..]

            let first = of' solution.Times[0] solution.States[0]
            Array.map2 (fun t y -> abs (of' t y - first)) solution.Times solution.States

        let quarter = errors.Length / 4
        let early = Array.max errors[..quarter]
        let late = Array.max errors[errors.Length - quarter ..]

        {
            Law = $"{name}: the energy error stays bounded"
            Holds = quarter > 10 && late <= max 1e-12 (1.5 * early)
            Detail =
                $"largest error %.1e{early} in the first quarter, %.1e{late} in the last, {errors.Length} states to t = {solution.FinalTime:g4}"
        }

    /// Over many steps of length h the energy error stays bounded. The problem must have an Energy.
    let energy (method: Splitting) (h: float) (steps: int) (problem: HamiltonianProblem) : LawResult =
        let options = { FixedSteps.every h with SaveAt = EverySteps }

        let solution =
            solve method options problem problem.Start (problem.Start + h * float steps) (start problem)

        boundedEnergy $"{method.Name} on {problem.Name}" problem.Energy.Value solution

    /// Linear and quadratic invariants of the problem are kept to rounding over a thousand steps of length h (1e-12 relative).
    let invariants (method: Splitting) (h: float) (problem: HamiltonianProblem) : LawResult[] = [|
        let n = problem.Positions.Length
        let options = { FixedSteps.every h with SaveAt = EverySteps }

        let states =
            (solve method options problem problem.Start (problem.Start + 1000.0 * h) (start problem)).States

        for struct (name, invariant) in problem.Invariants do
            let values = states |> Array.map (fun y -> invariant y[.. n - 1] y[n..])
            let worst = values |> Array.map (fun v -> abs (v - values[0])) |> Array.max

            {
                Law = $"{method.Name} keeps the {name} of {problem.Name}"
                Holds = worst <= 1e-12 * max 1.0 (abs values[0])
                Detail = $"largest change %.1e{worst} over 1000 steps"
            }
    |]

    /// Every law that applies, with steps of length h for the long runs (say a fiftieth of the shortest period).
    let all (method: Splitting) (h: float) (problem: HamiltonianProblem) : LawResult[] = [|
        convergence method problem
        denseConvergence method problem
        symplectic method h problem
        yield! invariants method h problem

        if method.IsSymmetric then
            reversibility method problem

        if problem.Energy.IsSome then
            energy method h 5000 problem
    |]
