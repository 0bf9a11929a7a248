// Checks of what layers and models are made of and applied to.
namespace Continuum

open System
open TorchSharp

/// Checks that layers share.
[<RequireQualifiedAccess>]
module internal OperatorChecks =
    let bad (text: string) = raise (ArgumentException text)

    /// Clouds are one for all samples, or one for each.
    let clouds (target: Discretisation) (batch: int64) =
        if target.CloudCount > 1 && int64 target.CloudCount <> batch then
            bad
                $"The image is wanted on {target.CloudCount} clouds and there are {batch} samples; give one cloud for all, or one for each."

    /// Scalar parameters go with the values: (batch, parameters), of their dtype, on their device; null passes.
    let parameters (given: Tensor) (values: Tensor) =
        if not (isNull given) then
            if given.dim () <> 2L || given.shape[0] <> values.shape[0] then
                bad
                    $"Scalar parameters have shape {Tensors.shapeText given}; they must have shape [{values.shape[0]}, number of parameters]."

            if given.dtype <> values.dtype || given.device_type <> values.device_type then
                bad
                    $"Scalar parameters are {given.dtype} on {given.device} and the functions {values.dtype} on {values.device}; convert one of them."

    let channels (layer: string) (wanted: int) (values: Tensor) =
        if values.shape[1] <> int64 wanted then
            bad $"{layer} takes {wanted} channels and the field has {values.shape[1]}."

    let dtype (layer: string) (parameter: Tensor) (values: Tensor) =
        if values.dtype <> parameter.dtype then
            bad
                $"{layer} has parameters of {parameter.dtype} and the field values of {values.dtype}; convert one of them."

        if values.device_type <> parameter.device_type then
            bad $"{layer} is on {parameter.device} and the field on {values.device}; move one of them."

    /// Parameters are single or double precision.
    let precision (dtype: torch.ScalarType) =
        if dtype <> torch.float32 && dtype <> torch.float64 then
            bad $"Operators compute in float32 or float64; got {dtype}."

    let samePoints (layer: string) (source: Discretisation) (target: Discretisation) =
        if not (Object.ReferenceEquals(source, target) || source.Equals target) then
            bad $"{layer} acts at every point by itself: it cannot go from {source} to {target}."

    let domain (layer: string) (wanted: Domain) (discretisation: Discretisation) =
        if not (discretisation.Domain.Equals wanted) then
            bad
                $"{layer} is made for functions on {wanted}; the field lives on {discretisation.Domain}. Scale its coordinates, or make the model for that domain."

    let positive (what: string) (value: int) =
        if value < 1 then
            bad $"{what} must be at least 1; got {value}."

    /// Weights are drawn in double precision: more than this many (16 GiB) are a mistake, and libtorch ends the process when memory does.
    let weights (what: string) (shape: int64[]) =
        let total = shape |> Array.fold (fun n d -> n * float d) 1.0

        if total > 2147483648.0 then
            let sizes = String.Join(" x ", shape)
            bad $"{what} would have {sizes} = {total:g3} weights; take a smaller width or fewer modes."
