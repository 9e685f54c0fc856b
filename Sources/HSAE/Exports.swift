// The types of other modules that a program sees when it imports `HSAE`, by name (docs/decisions/0013). The
// module's own types are in the files beside this one.

@_exported public import struct HSAEModels.Code
@_exported public import struct HSAEModels.Codes
@_exported public import struct HSAEModels.DictionaryShape
@_exported public import enum HSAEModels.L1Scope
@_exported public import struct HSAEModels.LatentNumber
@_exported public import struct HSAEModels.LearningRateSchedule
@_exported public import struct HSAEModels.ReconstructionQuality
@_exported public import struct HSAEModels.ReconstructionSummary
@_exported public import struct HSAEModels.Whitening
@_exported public import struct HSAEModels.WhiteningSettings
@_exported public import struct HSAEPlatform.Failure
@_exported public import enum HSAERuns.BiasOption
@_exported public import struct HSAERuns.MetricsRecord
@_exported public import enum HSAERuns.Normalisation
@_exported public import enum HSAERuns.PrecisionOption
@_exported public import enum HSAERuns.Preset
@_exported public import enum HSAERuns.RowOrder
@_exported public import struct HSAERuns.TrainingOptions
@_exported public import enum HSAERuns.WhitenOption
@_exported public import enum HSAETensors.Precision
@_exported public import struct HSAETensors.RowMoments
