module Main

open Expecto
open TorchSharp

[<EntryPoint>]
let main arguments =
    Continuum.NativeLibraries.ensure ()
    torch.set_num_threads 1

    testSequenced
    <| testList "Continuum" [
        DocumentationTests.tests
        NativeTests.tests
        AutogradTests.tests
        DiffTests.tests
        TableauTests.tests
        FilesTests.tests
        SolverTests.tests
        MatrixTests.tests
        StiffTests.tests
        NumberTests.tests
        BdfTests.tests
        EsdirkTests.tests
        EnsembleTests.tests
        AutomaticTests.tests
        GradientTests.tests
        RegressionTests.tests
        ReversibleTests.tests
        BatchTests.tests
        TensorStiffTests.tests
        ModelsTests.tests
        EstimationTests.tests
        SensitivityTests.tests
        ReferenceTests.tests
        Continuum.Tests.BrownianTests.tests
        SdeTests.tests
        SdeSolveTests.tests
        SdeInputTests.tests
        SdeGradientTests.tests
        SdeArrayTests.tests
        SdeEnsembleTests.tests
        ControlPathTests.all
        CdeTests.all
        CdeGradientTests.all
        ResamplingTests.all
        FieldResamplingTests.all
        OperatorLayerTests.all
        OperatorModelTests.all
        OperatorTrainingTests.all
        GridCalculusTests.all
        OperatorLossTests.all
        OperatorLossLawTests.all
        LossTermTests.all
        EnergySpectrumTests.all
        PdeDataTests.tests
        OperatorDatasetTests.tests
        SignatureTests.tests
        TrainingLoopTests.tests
        IrregularSeriesTests.tests
        CdeModelTests.tests
        SdeModelTests.tests
        PathMetricsTests.tests
        GenerativeSdeTests.tests
        StochasticSnippets.tests
        ControlledSnippets.tests
        ModelSnippets.tests
        OperatorSnippets.tests
        FacadeTests.tests
        NumberSnippets.tests
        DocSnippets.tests
        LawTests.tests
        StructuredTests.tests
        ExamplesTests.tests
        CliTests.tests
        CliSdeTests.tests
        CliSolveTests.tests
        CliPdeTests.tests
        CliOperatorTests.tests
    ]
    |> runTestsWithCLIArgs [] arguments
