/// Energy by wave number.
module EnergySpectrumTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let private wave (domain: Domain) (sizes: int[]) (f: float[] -> float) =
    FieldValues.ofFunction 2 torch.float64 (Discretisation.Uniform(domain, sizes)) (fun x -> [| f x |])

let all =
    testList "energy spectrum" [
        test "the energies of all wave numbers are the mean square (Parseval)" {
            use _ = torch.NewDisposeScope()

            for sizes in [ [| 17 |]; [| 16; 24 |]; [| 12; 13; 12 |] ] do
                let grid = Discretisation.Uniform(Domain.Torus sizes.Length, sizes)
                let field = OperatorLaws.field grid 3 2 5 3
                let expected = field.Values.square().mean().ToDouble() * 2.0
                Expect.floatClose Accuracy.high (Array.sum (EnergySpectrum.ofField field)) expected $"%A{sizes}"
        }

        test "a wave is where its wave number is, also on axes of different lengths" {
            let single (k: int) (energy: float) (spectrum: float[]) =
                spectrum
                |> Array.iteri (fun i e ->
                    Expect.floatClose Accuracy.high e (if i = k then energy else 0.0) $"wave number {i}")

            use cosine = wave (Domain.Torus 1) [| 20 |] (fun x -> 3.0 * cos (2.0 * Math.PI * 4.0 * x[0]))
            let spectrum = EnergySpectrum.ofField cosine
            Expect.hasLength spectrum 11 "0 to 10"
            single 4 4.5 spectrum

            use oblique =
                wave (Domain.Torus 2) [| 16; 16 |] (fun x -> cos (2.0 * Math.PI * (3.0 * x[0] - 4.0 * x[1])))

            single 5 0.5 (EnergySpectrum.ofField oblique)

            let long = Domain [| Axis.Periodic 2.0; Axis.Periodic 1.0 |]
            use second = wave long [| 16; 16 |] (fun x -> cos (2.0 * Math.PI * 3.0 * x[1]))
            let spectrum = EnergySpectrum.ofField second
            Expect.hasLength spectrum 9 "both axes hold 8 periods over the length of 2"
            single 6 0.5 spectrum
        }

        test "at nodes, both ends included, a wave is where its wave number is" {
            use wave' = wave (Domain [| Axis.Open 1.0 |]) [| 41 |] (fun x -> cos (2.0 * Math.PI * 12.0 * x[0]))

            let spectrum = EnergySpectrum.ofField wave'
            Expect.hasLength spectrum 21 "0 to 20"
            let peak = Array.max spectrum
            Expect.equal (Array.findIndex ((=) peak) spectrum) 12 "its place"

            // Two waves side by side on axes of unlike points: nodes, and nodes without the ends.
            let domain = Domain [| Axis.Dirichlet 1.0 |]
            let grid = Discretisation.Uniform(domain, [| 31 |], [| PointLayout.Interior |])

            use inner =
                FieldValues.ofFunction 1 torch.float64 grid (fun x -> [| sin (2.0 * Math.PI * 8.0 * x[0]) |])

            let spectrum = EnergySpectrum.ofField inner
            Expect.equal (Array.findIndex ((=) (Array.max spectrum)) spectrum) 8 "at interior points"
        }

        test "a jump between the ends of an open axis does not hide what is small" {
            use line = wave (Domain [| Axis.Open 1.0 |]) [| 128 |] (fun x -> x[0])
            let spectrum = EnergySpectrum.ofField line
            // The saw's own spectrum falls like 1 / (2 pi^2 k^2), which at 50 is 2e-5.
            Expect.isLessThan spectrum[50] 1e-9 "wave number 50"
        }

        test "clouds and irregular points are refused, and no tensor is left behind" {
            let before = Tensors.live ()
            let irregular = AxisPoints.At(Axis.Open 1.0, [| 0.1; 0.2; 0.7 |])

            use field =
                FieldValues.ofFunction 1 torch.float64 (Discretisation.Product [| irregular |]) (fun x -> [| x[0] |])

            refused [ "uniform points"; "Resample" ] (fun () -> EnergySpectrum.ofField field |> ignore)
            use even = wave (Domain.Torus 1) [| 8 |] (fun x -> sin x[0])
            EnergySpectrum.ofField even |> ignore
            (field :> IDisposable).Dispose()
            (even :> IDisposable).Dispose()
            Expect.equal (Tensors.live ()) before "live tensors"
        }
    ]
