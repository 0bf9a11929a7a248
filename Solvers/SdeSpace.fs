// What a step of a stochastic equation may do with states, noise vectors and diffusion values. Tensors and SIMD lanes implement it.
namespace Continuum

/// The arithmetic of dy = f(t, y) dt + g(t, y) dW. 'S is a state, 'X a noise vector (what multiplies g: an increment W, an area H, a
/// combination of them) or the matrix of a Levy area, 'G a value of g. Implementations are structs, so that the JIT specialises the
/// stages. dest is a hint: arrays write into it and return it, tensors return a fresh value. h is never passed: weights carry it.
type internal ISdeSpace<'S, 'X, 'G> =
    /// Scratch storage for dest; tensors return y itself (or null).
    abstract Allocate: y: 'S -> 'S
    /// Scratch storage for a noise vector; null for tensors.
    abstract AllocateNoise: unit -> 'X
    /// Scratch storage for a value of g; null for tensors.
    abstract AllocateDiffusion: y: 'S -> 'G
    /// f(t, y).
    abstract Drift: t: float * y: 'S * dest: 'S -> 'S
    /// g(t, y).
    abstract Diffusion: t: float * y: 'S * dest: 'G -> 'G
    /// y + sum_{j < nf} a_j f_j + sum_{k < ng} g_k x_k; f_j is not looked at where a_j = 0. g_k x_k is the product componentwise for
    /// noise with one number of g for each component, else of matrix and vector.
    abstract Combine: dest: 'S * y: 'S * a: float[] * f: 'S[] * nf: int * g: 'G[] * x: 'X[] * ng: int -> 'S
    /// The zero state shaped like y.
    abstract Zero: dest: 'S * y: 'S -> 'S
    /// sum_{j < count} c_j basis_j of noise vectors; basis_j is not looked at where c_j = 0.
    abstract Noise: dest: 'X * c: float[] * basis: 'X[] * count: int -> 'X
    /// The noise vector whose components are those of w to a power: 0 (ones), 2 or 3.
    abstract Power: dest: 'X * w: 'X * exponent: int -> 'X
    /// Componentwise sqrt(sum_l g_l^2), the size of the noise in each component of the state.
    abstract Spread: dest: 'S * y: 'S * g: 'G -> 'S

/// The space of methods that need derivatives of g, iterated integrals or Levy areas. A "matrix" 'X is m x m for matrix-valued g; for
/// elementwise noise all of these are componentwise and a matrix is one number for each component (its diagonal).
type internal ISdeCalculusSpace<'S, 'X, 'G> =
    inherit ISdeSpace<'S, 'X, 'G>
    /// Whether noise is elementwise (one number of g for each component).
    abstract IsElementwise: bool
    /// Number of Brownian motions.
    abstract NoiseSize: int
    /// The matrix 1/2 (w w' - q I) + a; a may be null. Componentwise 1/2 (w^2 - q).
    abstract Iterated: dest: 'X * w: 'X * a: 'X * q: float -> 'X
    /// g(t, y), and sum_kl i_kl (D g_l)(t, y) g_k(t, y) for a matrix i; null stands for the identity. By automatic differentiation.
    abstract WithDerivative: t: float * y: 'S * i: 'X * destG: 'G * dest: 'S -> struct ('G * 'S)
    /// c times the unit noise vector of Brownian motion k.
    abstract Unit: dest: 'X * like: 'X * k: int * c: float -> 'X
    /// c times row k of a matrix.
    abstract Row: dest: 'X * matrix: 'X * k: int * c: float -> 'X
