/// Models of operators that the tests share: kinds, grids of growing size.
module OperatorModelCases

open System
open System.IO
open Continuum
open Continuum.Properties
open Claims
open Expecto
open TorchSharp

let f64 = torch.float64

let gap (a: Tensor) (b: Tensor) = a.sub(b).abs().max().ToDouble()

let seeded (make: torch.Generator -> 'model) : 'model =
    use generator = new torch.Generator(5UL)
    make generator

let uniform domain (sizes: int list) = Discretisation.Uniform(domain, List.toArray sizes)

let small (modes: int[]) = { FnoOptions.Create modes with Width = 4; Layers = 2; Projection = 6 }

let fno domain inputs (options: FnoOptions) : NeuralOperator =
    seeded (fun g -> new Fno(domain, inputs, 1, 0, options, f64, g))

let unoOptions dimension = { UnoOptions.Create(dimension, 3, 4) with Projection = 6 }

let uno domain : NeuralOperator = seeded (fun g -> new Uno(domain, [| 1 |], 1, 0, unoOptions domain.Dimension, f64, g))

let deepONet domain encoder : NeuralOperator =
    let options = {
        DeepONetOptions.Default with
            Encoder = encoder
            Readings = 5
            Basis = 4
            Branch = [| 6 |]
            Trunk = [| 6 |]
    }

    seeded (fun g -> new DeepONet(domain, [| 1 |], 2, 0, options, f64, g))

let at (model: NeuralOperator) (field: Field) (target: Discretisation) =
    model.Apply(OperatorInput([| field |], null, Unchecked.defaultof<Field>, target))

let torus1 = Domain.Torus 1
let torus2 = Domain.Torus 2
let square = Domain.Cube(2, 1.0, Boundary.Open)

let mixed = Domain [| Axis.Periodic 1.0; Axis.Neumann 1.0 |]

/// Name, model, grids of growing size, the least factor by which the error falls.
let models: (string * (unit -> NeuralOperator) * Discretisation list * float) list = [
    "FNO 1-D",
    (fun () -> fno torus1 [| 1 |] (small [| 5 |])),
    [ for n in [ 10; 20; 40; 80 ] -> uniform torus1 [ n ] ],
    4.0
    "FNO 2-D",
    (fun () -> fno torus2 [| 1 |] (small [| 3; 3 |])),
    [ for n in [ 9; 18; 36 ] -> uniform torus2 [ n; n + 1 ] ],
    4.0
    "FNO 3-D",
    (fun () -> fno (Domain.Torus 3) [| 1 |] (small [| 2; 2; 2 |])),
    [ for n in [ 6; 10; 16 ] -> uniform (Domain.Torus 3) [ n; n; n ] ],
    3.0
    "FNO on an open square, with norms and pointwise networks",
    (fun () ->
        fno square [| 1 |] {
            small [| 3; 3 |] with
                Mlp = 1.0
                Norm = FunctionNormKind.Instance
                Skip = OperatorSkip.Gate
        }),
    [ for n in [ 13; 25; 49; 97 ] -> uniform square [ n; n ] ],
    6.0
    "TFNO",
    (fun () -> fno torus2 [| 1 |] { small [| 3; 3 |] with Weights = SpectralWeightKind.Tucker; Rank = 0.3 }),
    [ for n in [ 9; 18; 36 ] -> uniform torus2 [ n; n ] ],
    4.0
    "FNO, periodic beside Neumann",
    (fun () -> fno mixed [| 1 |] (small [| 3; 4 |])),
    [ for n in [ 9; 18; 36 ] -> uniform mixed [ n; n ] ],
    3.0
    "U-NO, periodic", (fun () -> uno torus2), [ for n in [ 12; 24; 48 ] -> uniform torus2 [ n; n ] ], 4.0
    "U-NO, odd sizes", (fun () -> uno torus1), [ for n in [ 13; 27; 55 ] -> uniform torus1 [ n ] ], 4.0
    "DeepONet by quadrature",
    (fun () -> deepONet square FunctionEncoder.Projection),
    [ for n in [ 9; 17; 33 ] -> uniform square [ n; n ] ],
    6.0
    "DeepONet with sensors",
    (fun () -> deepONet torus2 FunctionEncoder.Sensors),
    [ for n in [ 6; 12; 24 ] -> uniform torus2 [ n; n ] ],
    1.0
]
