// Pinocchio in C++ behind a pipe: forward kinematics and Jacobians to compare with, and the time that they take.
//
//     reference URDF FLANGE JOINT...      JOINT: the joints between base and flange, base first
//
// Joints not named are locked at zero, so that Pinocchio computes no more than it is asked for. Commands on standard input:
//
//     eval N   N configurations follow, each one double per JOINT (this machine's byte order). Answer, per configuration:
//              position of the flange in the base frame (3), its rotation matrix (9, row by row), its Jacobian along the axes
//              of the base, LOCAL_WORLD_ALIGNED (6 x JOINTs, row by row).
//     time N   pose and Jacobian of the flange N times, going round the configurations of the last `eval`. Answer: a line
//              with the nanoseconds per call of the faster of two ways to ask Pinocchio for them.
//
// reference.py speaks the same, through Pinocchio's Python binding.

#include <pinocchio/algorithm/frames.hpp>
#include <pinocchio/algorithm/jacobian.hpp>
#include <pinocchio/algorithm/joint-configuration.hpp>
#include <pinocchio/algorithm/model.hpp>
#include <pinocchio/parsers/urdf.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <string>
#include <vector>

namespace pin = pinocchio;

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> names(argv + 3, argv + argc);
  pin::Model whole;
  pin::urdf::buildModel(argv[1], whole);
  std::vector<pin::JointIndex> locked;
  for (pin::JointIndex joint = 1; joint < static_cast<pin::JointIndex>(whole.njoints); ++joint) {
    if (std::find(names.begin(), names.end(), whole.names[joint]) == names.end()) locked.push_back(joint);
  }
  const pin::Model model = pin::buildReducedModel(whole, locked, pin::neutral(whole));
  pin::Data data(model);
  const pin::FrameIndex flange = model.getFrameId(argv[2]);
  pin::Data::Matrix6x jacobian = pin::Data::Matrix6x::Zero(6, model.nv);
  std::vector<Eigen::VectorXd> configurations;

  const auto both_from_joint_jacobians = [&](const Eigen::VectorXd& q) {
    pin::computeJointJacobians(model, data, q);
    pin::updateFramePlacement(model, data, flange);
    pin::getFrameJacobian(model, data, flange, pin::LOCAL_WORLD_ALIGNED, jacobian);
  };
  const auto both_from_frame_jacobian = [&](const Eigen::VectorXd& q) {
    pin::computeFrameJacobian(model, data, q, flange, pin::LOCAL_WORLD_ALIGNED, jacobian);
    pin::updateFramePlacement(model, data, flange);
  };
  const auto nanoseconds = [&](std::size_t count, const auto& compute) {
    double kept = 0.0;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      compute(configurations[i % configurations.size()]);
      kept += jacobian(0, 0) + data.oMf[flange].translation()[0];
    }
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    // The sum has to be had, or the compiler may leave the work out.
    return std::isnan(kept) ? NAN : taken.count() / static_cast<double>(count);
  };

  std::string command;
  std::size_t count = 0;
  while (std::cin >> command >> count && std::cin.get() == '\n') {
    if (command == "eval") {
      configurations.assign(count, pin::neutral(model));
      std::vector<double> values(names.size());
      std::vector<double> answer;
      for (Eigen::VectorXd& q : configurations) {
        std::cin.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(8 * values.size()));
        for (std::size_t i = 0; i < names.size(); ++i) {
          const auto& joint = model.joints[model.getJointId(names[i])];
          if (joint.nq() == 2) {  // continuous: cosine and sine
            q[joint.idx_q()] = std::cos(values[i]);
            q[joint.idx_q() + 1] = std::sin(values[i]);
          } else {
            q[joint.idx_q()] = values[i];
          }
        }
        both_from_joint_jacobians(q);
        const pin::SE3& pose = data.oMf[flange];
        answer.assign(pose.translation().data(), pose.translation().data() + 3);
        for (int row = 0; row < 3; ++row)
          for (int column = 0; column < 3; ++column) answer.push_back(pose.rotation()(row, column));
        for (int row = 0; row < 6; ++row)
          for (const std::string& name : names)
            answer.push_back(jacobian(row, model.joints[model.getJointId(name)].idx_v()));
        std::cout.write(reinterpret_cast<const char*>(answer.data()), static_cast<std::streamsize>(8 * answer.size()));
      }
      std::cout.flush();
    } else {
      const double first = nanoseconds(count, both_from_joint_jacobians);
      std::cout << std::min(first, nanoseconds(count, both_from_frame_jacobian)) << std::endl;
    }
  }
}
