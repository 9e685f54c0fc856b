// Learning rates and warm-up factors at the steps where a schedule changes.

import HSAEModels
import Testing

struct ScheduleTests {
  @Test func cosineAtItsCorners() {
    let schedule = LearningRateSchedule(
      start: 1e-11, peak: 5e-4, floor: 0.1, warmup: 100, steps: 1100)
    #expect(schedule.rate(at: 0) == 1e-11)
    #expect(abs(schedule.rate(at: 50) - (1e-11 + 5e-4) / 2) < 1e-18)
    #expect(schedule.rate(at: 100) == 5e-4)
    #expect(abs(schedule.rate(at: 600) - 5e-4 * 0.55) < 1e-18)
    #expect(schedule.rate(at: 1100) == 5e-4 * 0.1)
    #expect(schedule.rate(at: 5000) == 5e-4 * 0.1)
    #expect(schedule.rate(at: 1099) > 5e-5 && schedule.rate(at: 1099) < 5.001e-5)
    for step in 100..<1100 { #expect(schedule.rate(at: step) >= schedule.rate(at: step + 1)) }
  }

  @Test func constantKeepsThePeak() {
    let schedule = LearningRateSchedule(form: .constant, peak: 2e-3, warmup: 10, steps: 20)
    #expect(schedule.rate(at: 0) == 1e-11)
    #expect(schedule.rate(at: 10) == 2e-3)
    #expect(schedule.rate(at: 19) == 2e-3)
    let plain = LearningRateSchedule(form: .constant, peak: 2e-3, warmup: 0, steps: 1)
    #expect(plain.rate(at: 0) == 2e-3)
  }

  @Test func schedulesWithoutWarmupOrDecay() {
    #expect(LearningRateSchedule(peak: 1, warmup: 0, steps: 4).rate(at: 0) == 1)
    let all = LearningRateSchedule(start: 0, peak: 1, warmup: 4, steps: 4)
    #expect(all.rate(at: 2) == 0.5)
    #expect(all.rate(at: 4) == 1)
    let long = LearningRateSchedule(start: 0, peak: 1, warmup: 8, steps: 4)
    #expect(long.rate(at: 3) == 0.375)
  }

  @Test func regularizersWarmUpFromZero() {
    let warmup = RegularizerWarmup(steps: 1000)
    #expect(warmup.factor(at: 0) == 0)
    #expect(warmup.factor(at: 250) == 0.25)
    #expect(warmup.factor(at: 1000) == 1)
    #expect(warmup.factor(at: 9999) == 1)
    #expect(RegularizerWarmup(steps: 0).factor(at: 0) == 1)
  }
}
