/// Changing the grid of periodic functions.
module ResamplingTests

open System
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

/// The real and the imaginary part resampled as one complex function.
let private byComplex (sizes: int[]) (x: Tensor) =
    (SpectralResampling.resample sizes (torch.complex (x, torch.zeros_like x))).real

let all =
    testList "spectral resampling" [
        for name, resample in [ "real", SpectralResampling.resample; "complex", byComplex ] do
            test $"{name}: one axis, odd and even, finer and coarser" {
                allHold (ResamplingLaws.all resample [| [| 1 |]; [| 2 |]; [| 5 |]; [| 8 |]; [| 9 |]; [| 16 |] |])
            }

            test $"{name}: two axes" {
                allHold (ResamplingLaws.all resample [| [| 6; 9 |]; [| 12; 8 |]; [| 7; 7 |]; [| 16; 16 |] |])
            }

            test $"{name}: three axes" { allHold (ResamplingLaws.all resample [| [| 4; 5; 6 |]; [| 8; 6; 7 |] |]) }

        test "the highest mode of an even grid is a cosine on a finer one, and two signs meet on a coarser one" {
            let wave (k: float) n =
                Tensors.vector (Array.init n (fun j -> cos (2.0 * Math.PI * k * float j / float n + 0.4)))

            let finer = SpectralResampling.resample [| 12 |] (Tensors.vector [| 1.0; -1.0; 1.0; -1.0 |])

            let expected = Tensors.vector (Array.init 12 (fun j -> cos (2.0 * Math.PI * 2.0 * float j / 12.0)))

            Expect.isLessThan (finer.sub(expected).abs().max().ToDouble()) 1e-14 "cos(4 pi x)"
            // Mode 4 of 16 points on 8 points: the values themselves.
            let coarser = SpectralResampling.resample [| 8 |] (wave 4.0 16)
            Expect.isLessThan (coarser.sub(wave 4.0 8).abs().max().ToDouble()) 1e-14 "every second value"
            let gone = SpectralResampling.resample [| 7 |] (wave 4.0 16)
            Expect.isLessThan (gone.abs().max().ToDouble()) 1e-14 "a mode that the grid cannot hold"
        }

        test "batches, dtypes, gradients, and no tensor left behind" {
            use scope = torch.NewDisposeScope()
            use generator = new torch.Generator(9UL)

            let x = torch.randn ([| 2L; 3L; 6L; 7L |], dtype = Nullable torch.float64, generator = generator)

            let before = Tensors.live ()
            let y = SpectralResampling.resample [| 9; 4 |] x
            Expect.equal y.shape [| 2L; 3L; 9L; 4L |] "shape"
            Expect.equal (Tensors.live ()) (before + 1L) "one tensor"
            let alone = SpectralResampling.resample [| 9; 4 |] (x.[1L, 2L])
            Expect.isLessThan (y.[1L, 2L].sub(alone).abs().max().ToDouble()) 1e-15 "a sample alone"
            let single = SpectralResampling.resample [| 9; 4 |] (x.float ())
            Expect.equal single.dtype torch.float32 "dtype"
            Expect.isLessThan (single.double().sub(y).abs().max().ToDouble()) 1e-5 "float32"
            // The map is linear: its vector-Jacobian product is its adjoint.
            let leaf = x.detach().requires_grad_ true
            let v = torch.randn_like y
            let pulled = (Autograd.vjp [| SpectralResampling.resample [| 9; 4 |] leaf |] [| leaf |] [| v |])[0]
            let u = torch.randn_like x
            let left = SpectralResampling.resample ([| 9; 4 |]) u
            let gap = abs (left.mul(v).sum().ToDouble() - pulled.mul(u).sum().ToDouble())
            Expect.isLessThan gap 1e-10 "<R u, v> = <u, R' v>"
            scope |> ignore
        }

        test "a resampling that puts modes in the wrong place is reported" {
            // New modes appended to the end of the array, where the negative ones are.
            let appended (sizes: int[]) (x: Tensor) =
                let modes = torch.fft.fft_ (x, norm = FFTNormType.Forward)
                let more = int64 sizes[0] - x.shape[0]
                let zeros = torch.zeros ([| more |], dtype = modes.dtype)
                (torch.fft.ifft (torch.cat ([| modes; zeros |], 0L), norm = FFTNormType.Forward)).real

            use _ = torch.NewDisposeScope()
            Expect.isFalse (ResamplingLaws.bandLimited appended [| 8 |] [| 12 |]).Holds "band-limited"

            let nearest (sizes: int[]) (x: Tensor) =
                let places = Array.init sizes[0] (fun j -> int64 j * x.shape[0] / int64 sizes[0])
                x.index_select (0L, torch.tensor(places).clone())

            Expect.isFalse (ResamplingLaws.bandLimited nearest [| 8 |] [| 12 |]).Holds "nearest neighbours"
            Expect.isFalse (ResamplingLaws.translation nearest [| 8 |] [| 12 |]).Holds "and translations"
        }

        test "what it refuses" {
            let x = torch.ones ([| 4L; 4L |], dtype = torch.float64)
            let resample sizes (x: Tensor) () = SpectralResampling.resample sizes x |> ignore
            refuses "[4, 4] and 3 sizes" (resample [| 2; 2; 2 |] x)
            refuses "4 points to 0" (resample [| 4; 0 |] x)
            refuses "Int64" (resample [| 2 |] (torch.ones ([| 4L |], dtype = torch.int64)))
        }
    ]
