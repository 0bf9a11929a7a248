// The outer solar system (Sun with the inner planets, Jupiter, Saturn, Uranus, Neptune, Pluto) over 30,000 years with a symplectic
// method, from the positions and velocities of 5 September 1994 in Hairer, Lubich and Wanner (2006), I.2.4. Units: astronomical
// units, days, solar masses.
#load "continuum.fsx"

open Continuum

let gravity = 2.95912208286e-4
let year = 365.25

let masses = [|
    1.00000597682
    9.54786104043e-4
    2.85583733151e-4
    4.37273164546e-5
    5.17759138449e-5
    1.0 / 1.3e8
|]

let positions =
    Array.concat [
        [| 0.0; 0.0; 0.0 |]
        [| -3.5023653; -3.8169847; -1.5507963 |]
        [| 9.0755314; -3.0458353; -1.6483708 |]
        [| 8.3101420; -16.2901086; -7.2521278 |]
        [| 11.4707666; -25.7294829; -10.8169456 |]
        [| -15.5387357; -25.2225594; -3.1902382 |]
    ]

let velocities =
    Array.concat [
        [| 0.0; 0.0; 0.0 |]
        [| 0.00565429; -0.00412490; -0.00190589 |]
        [| 0.00168318; 0.00483525; 0.00192462 |]
        [| 0.00354178; 0.00137102; 0.00055029 |]
        [| 0.00288930; 0.00114527; 0.00039677 |]
        [| 0.00276725; -0.00170702; -0.00136504 |]
    ]

let attraction =
    VectorField(fun _ q dpdt ->
        dpdt.Clear()

        for i in 0..5 do
            for j in 0 .. i - 1 do
                let x = q[3 * i] - q[3 * j]
                let y = q[3 * i + 1] - q[3 * j + 1]
                let z = q[3 * i + 2] - q[3 * j + 2]
                let r2 = x * x + y * y + z * z
                let pull = gravity * masses[i] * masses[j] / (r2 * sqrt r2)
                dpdt[3 * i] <- dpdt[3 * i] - pull * x
                dpdt[3 * i + 1] <- dpdt[3 * i + 1] - pull * y
                dpdt[3 * i + 2] <- dpdt[3 * i + 2] - pull * z
                dpdt[3 * j] <- dpdt[3 * j] + pull * x
                dpdt[3 * j + 1] <- dpdt[3 * j + 1] + pull * y
                dpdt[3 * j + 2] <- dpdt[3 * j + 2] + pull * z)

let each = masses |> Array.collect (Array.replicate 3)
let system = Hamiltonian.Newton(each, attraction)
let finish = 30_000.0 * year

let options: SolveOptions<float[]> = {
    // steps of half a year
    FixedSteps.every (0.5 * year) with
        SaveAt = Times [| for i in 0..300 -> 100.0 * float i * year |] // step ends, so not interpolated
}

let solution =
    HamiltonianOde.solve
        (Splitting.compensated Splitting.yoshida6)
        options
        system
        0.0
        finish
        positions
        (Array.map2 (*) each velocities)

let distance (y: float[]) i j = sqrt (Seq.sum (seq { for axis in 0..2 -> (y[3 * i + axis] - y[3 * j + axis]) ** 2.0 }))

let energy (y: float[]) =
    let kinetic = Seq.sum (seq { for k in 0..17 -> y[18 + k] * y[18 + k] / (2.0 * each[k]) })

    let potential =
        Seq.sum (
            seq {
                for i in 0..5 do
                    for j in 0 .. i - 1 do
                        gravity * masses[i] * masses[j] / distance y i j
            }
        )

    kinetic - potential

/// The component of the angular momentum along the third axis.
let rotation (y: float[]) = Seq.sum (seq { for i in 0..3..15 -> y[i] * y[18 + i + 1] - y[i + 1] * y[18 + i] })

/// How far a quantity of (q; p) is from its first value, at every saved time.
let relative quantity =
    let first = quantity solution.States[0]
    solution.States |> Array.map (fun y -> abs ((quantity y - first) / first))

let drift = relative energy
let early = Array.max drift[..75]
let late = Array.max drift[225..]
let turned = Array.max (relative rotation)

printfn
    $"{solution.Statistics.Accepted} steps; relative energy error {early:e1} in the first quarter, {late:e1} in the last; angular momentum {turned:e1}"

check (late < 1.5 * early && late < 1e-5) $"solar system: the energy error stays at {late:e1} over 30,000 years"
check (turned < 1e-12) $"solar system: angular momentum kept within {turned:e1}"

check
    (solution.States |> Array.forall (fun y -> distance y 0 1 > 4.8 && distance y 0 1 < 5.6))
    "solar system: Jupiter stays between 4.8 and 5.6 astronomical units from the Sun"
